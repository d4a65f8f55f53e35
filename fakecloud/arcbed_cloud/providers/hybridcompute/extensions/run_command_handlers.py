"""The operations of ARM on run commands: parse, call the domain, answer. Operation ids are the swagger's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from arcbed_cloud.arm import validation
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.paging import page
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Verb
from arcbed_cloud.providers.hybridcompute import errors
from arcbed_cloud.providers.hybridcompute.extensions import run_command_bodies
from arcbed_cloud.providers.hybridcompute.extensions.bodies import members_of
from arcbed_cloud.providers.hybridcompute.extensions.items import Items
from arcbed_cloud.providers.hybridcompute.extensions.machine_extensions import check_machine, machine_id_of
from arcbed_cloud.providers.hybridcompute.extensions.run_commands import (
    RUN_COMMAND_TYPE,
    RunCommands,
    RunCommandView,
)
from arcbed_cloud.providers.hybridcompute.extensions.schemas import RUN_COMMANDS
from arcbed_cloud.providers.hybridcompute.machines import Machines
from arcbed_cloud.store.contract import Row

PATCH_UNTIL = "2025-01-13"


class RunCommandHandlers:
    """One coroutine for each verb."""

    def __init__(
        self, context: ProviderContext, machines: Machines, items: Items, commands: RunCommands
    ) -> None:
        self._store = context.plane.store
        self._operations = context.operations
        self._machines = machines
        self._items = items
        self._commands = commands
        self._view = RunCommandView()

    async def put(self, request: ArmRequest) -> ArmResponse:
        """MachineRunCommands_CreateOrUpdate: 201 with the resource and both monitors."""
        given = run_command_bodies.read(request.json(), request.target)
        async with self._store.unit() as unit:
            machine = self._machine(request)
            row = self._commands.put(unit, machine, request.target, given, request.request_id)
            operation = self._operations.begin(
                unit, request, namespace=RUN_COMMAND_TYPE.namespace, location=machine.document["location"]
            )
        return ArmResponse(201, body=self._render(row), headers=operation.headers(request))

    async def patch(self, request: ArmRequest) -> ArmResponse:
        """MachineRunCommands_Update: tags only, done when answered."""
        given = members_of(request.json(), "the body").get("tags")
        async with self._store.unit() as unit:
            row = self._commands.tag(
                unit, self._found(request), None if given is None else validation.tags(given)
            )
        return ArmResponse(200, body=self._render(row))

    async def delete(self, request: ArmRequest) -> ArmResponse:
        """MachineRunCommands_Delete: 202 until the machine has forgotten it, 204 for none."""
        async with self._store.unit() as unit:
            row = self._commands.get(request.target.key)
            if row is None:
                return ArmResponse(204)
            machine = self._machine(request)
            gone = self._items.remove(unit, row, request.request_id)
            operation = self._operations.begin(
                unit, request, namespace=RUN_COMMAND_TYPE.namespace, location=machine.document["location"]
            )
        if gone:
            async with self._store.unit() as unit:
                self._operations.succeed(unit, operation.id)
        return ArmResponse(202, headers=operation.headers(request))

    async def get(self, request: ArmRequest) -> ArmResponse:
        """MachineRunCommands_Get."""
        return ArmResponse(200, body=self._render(self._found(request)))

    async def list_on_machine(self, request: ArmRequest) -> ArmResponse:
        """MachineRunCommands_List."""
        return page(request, self._commands.on(machine_id_of(request.target).key), self._render)

    def _machine(self, request: ArmRequest) -> Row:
        return check_machine(self._machines.get(machine_id_of(request.target).key), request.target)

    def _found(self, request: ArmRequest) -> Row:
        row = self._commands.get(request.target.key)
        if row is None:
            raise errors.hcrp(404, "The requested resource was not found.", request.target)
        return row

    def _render(self, row: Row) -> bytes:
        ready = row.rendered.get("arm")
        if ready is None:
            ready = row.rendered["arm"] = orjson.dumps(self._view.shown(row.document))
        return ready


def run_command_type(on: RunCommandHandlers, items: Items) -> ResourceType:
    """The row of ``Microsoft.HybridCompute/machines/runCommands``."""

    def verb(name: str, method: str, handler: Any, success: tuple[int, ...] = (200,), **more: Any) -> Verb:
        place = more.pop("on", On.ITEM)
        return Verb(
            operation_id=f"MachineRunCommands_{name}",
            method=method,
            on=place,
            handler=handler,
            success=success,
            **more,
        )

    one = "MachineRunCommand"
    verbs = (
        verb("CreateOrUpdate", "PUT", on.put, (201,), body=one, answer=one),
        verb("Update", "PATCH", on.patch, body="MachineRunCommandUpdate", answer=one, until=PATCH_UNTIL),
        verb("Get", "GET", on.get, answer=one),
        verb("Delete", "DELETE", on.delete, (202, 204)),
        verb("List", "GET", on.list_on_machine, answer="MachineRunCommandsListResult", on=On.GROUP_LIST),
    )
    return replace(RUN_COMMAND_TYPE, verbs=verbs, schemas=RUN_COMMANDS, on_delete=items.forget)
