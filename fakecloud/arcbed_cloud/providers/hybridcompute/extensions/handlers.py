"""The operations of ARM on extensions: parse, call the domain, answer. Operation ids are the swagger's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.operations import Operation
from arcbed_cloud.arm.paging import page
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Verb
from arcbed_cloud.providers.hybridcompute import errors
from arcbed_cloud.providers.hybridcompute.extensions import bodies
from arcbed_cloud.providers.hybridcompute.extensions.items import Items
from arcbed_cloud.providers.hybridcompute.extensions.machine_extensions import (
    EXTENSION_TYPE,
    MachineExtensions,
    check_machine,
    machine_id_of,
)
from arcbed_cloud.providers.hybridcompute.extensions.schemas import SCHEMAS
from arcbed_cloud.providers.hybridcompute.extensions.views import ExtensionView
from arcbed_cloud.providers.hybridcompute.machines import Machines
from arcbed_cloud.store.contract import Row, Unit

NAMESPACE = EXTENSION_TYPE.namespace
UPGRADE_SINCE = "2021-04-22-preview"
SETUP_SINCE = "2024-09-10-preview"


class ExtensionHandlers:
    """One coroutine for each verb."""

    def __init__(
        self, context: ProviderContext, machines: Machines, items: Items, extensions: MachineExtensions
    ) -> None:
        self._store = context.plane.store
        self._operations = context.operations
        self._machines = machines
        self._items = items
        self._extensions = extensions
        self._view = ExtensionView()

    async def put(self, request: ArmRequest) -> ArmResponse:
        """MachineExtensions_CreateOrUpdate: 202, and both monitors."""
        given = bodies.read(request.json(), request.target)
        async with self._store.unit() as unit:
            machine = self._machine(request)
            done = self._extensions.put(unit, machine, request.target, given, request.request_id)
            operation = self._begin(unit, request, machine)
        return await self._accepted(request, operation, done.row if done.moot else None)

    async def patch(self, request: ArmRequest) -> ArmResponse:
        """MachineExtensions_Update: 202, and both monitors."""
        given = bodies.read(request.json(), request.target)
        async with self._store.unit() as unit:
            machine = self._machine(request)
            done = self._extensions.patch(unit, machine, request.target, given, request.request_id)
            operation = self._begin(unit, request, machine)
        return await self._accepted(request, operation, done.row if done.moot else None)

    async def delete(self, request: ArmRequest) -> ArmResponse:
        """MachineExtensions_Delete: 202 until the machine has removed it, 204 for none."""
        async with self._store.unit() as unit:
            row = self._extensions.get(request.target.key)
            if row is None:
                return ArmResponse(204)
            machine = self._machine(request)
            gone = self._items.remove(unit, row, request.request_id)
            operation = self._begin(unit, request, machine)
        if gone:
            async with self._store.unit() as unit:
                self._operations.succeed(unit, operation.id)
        return ArmResponse(202, headers=operation.headers(request))

    async def get(self, request: ArmRequest) -> ArmResponse:
        """MachineExtensions_Get."""
        row = self._extensions.get(request.target.key)
        if row is None:
            raise errors.hcrp(404, "The requested resource was not found.", request.target)
        return ArmResponse(200, body=self._render(row, request))

    async def list_on_machine(self, request: ArmRequest) -> ArmResponse:
        """MachineExtensions_List."""
        rows = self._extensions.on(machine_id_of(request.target).key)
        return page(request, rows, lambda row: self._render(row, request))

    async def upgrade(self, request: ArmRequest) -> ArmResponse:
        """UpgradeExtensions: one operation for all targets; its status carries an empty list in the end."""
        machine_id = machine_id_of(request.target)
        wanted = bodies.upgrade_targets(request.json(), machine_id)
        async with self._store.unit() as unit:
            machine = self._machine(request)
            done = self._extensions.upgrade(unit, machine, machine_id, wanted, request.request_id)
            operation = self._begin(unit, request, machine)
        if all(entry.moot for entry in done):
            async with self._store.unit() as unit:
                self._operations.succeed(unit, operation.id, [])
        return ArmResponse(202, headers=operation.headers(request))

    async def setup(self, request: ArmRequest) -> ArmResponse:
        """SetupExtensions: several extensions at once, each named by its type."""
        machine_id = machine_id_of(request.target)
        async with self._store.unit() as unit:
            machine = self._machine(request)
            written = []
            for given in bodies.setups(request.json(), machine_id):
                target = machine_id.child("extensions", given.type or "")
                whole = replace(given, location=machine.document["location"])
                written.append(
                    self._extensions.put(unit, machine, target, whole, request.request_id, "setup")
                )
            operation = self._begin(unit, request, machine)
        if all(entry.moot for entry in written):
            shown = [self._view.shown(entry.row.document)["properties"] for entry in written]
            async with self._store.unit() as unit:
                self._operations.succeed(unit, operation.id, result={"extensions": shown})
        return ArmResponse(202, headers=operation.headers(request))

    # -- parts ---------------------------------------------------------------------------------------------

    def _machine(self, request: ArmRequest) -> Row:
        return check_machine(self._machines.get(machine_id_of(request.target).key), request.target)

    def _begin(self, unit: Unit, request: ArmRequest, machine: Row) -> Operation:
        return self._operations.begin(
            unit, request, namespace=NAMESPACE, location=machine.document["location"]
        )

    async def _accepted(self, request: ArmRequest, operation: Operation, moot: Row | None) -> ArmResponse:
        if moot is not None:
            async with self._store.unit() as unit:
                self._operations.succeed(unit, operation.id, self._view.shown(moot.document))
        return ArmResponse(202, headers=operation.headers(request))

    def _render(self, row: Row, request: ArmRequest) -> bytes:
        ready = row.rendered.get(request.api_version)
        if ready is None:
            ready = orjson.dumps(self._view.shown(row.document, request.api_version))
            row.rendered[request.api_version] = ready
        return ready


def extension_type(on: ExtensionHandlers, items: Items) -> ResourceType:
    """The row of ``Microsoft.HybridCompute/machines/extensions``."""

    def verb(name: str, method: str, handler: Any, success: tuple[int, ...] = (200,), **more: Any) -> Verb:
        place = more.pop("on", On.ITEM)
        return Verb(
            operation_id=f"MachineExtensions_{name}",
            method=method,
            on=place,
            handler=handler,
            success=success,
            **more,
        )

    verbs = (
        verb("CreateOrUpdate", "PUT", on.put, (202, 200), body="MachineExtension", answer="MachineExtension"),
        verb(
            "Update", "PATCH", on.patch, (202, 200), body="MachineExtensionUpdate", answer="MachineExtension"
        ),
        verb("Get", "GET", on.get, answer="MachineExtension"),
        verb("Delete", "DELETE", on.delete, (202, 204)),
        verb(
            "List",
            "GET",
            on.list_on_machine,
            answer="MachineExtensionsListResult",
            parameters=("$expand",),
            on=On.GROUP_LIST,
        ),
    )
    return replace(EXTENSION_TYPE, verbs=verbs, schemas=SCHEMAS, on_delete=items.forget)


def machine_actions(on: ExtensionHandlers) -> tuple[Verb, ...]:
    """What extensions add to the row of machines."""
    return (
        Verb(
            operation_id="UpgradeExtensions",
            method="POST",
            on=On.ACTION,
            action="upgradeExtensions",
            handler=on.upgrade,
            success=(202,),
            body="MachineExtensionUpgrade",
            since=UPGRADE_SINCE,
        ),
        Verb(
            operation_id="SetupExtensions",
            method="POST",
            on=On.ACTION,
            action="addExtensions",
            handler=on.setup,
            success=(202,),
            body="SetupExtensionRequest",
            answer="SetupExtensionRequest",
            since=SETUP_SINCE,
        ),
    )
