"""The machine operations of ARM: parse, call the domain, answer. Operation ids are those of the swagger."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError, resource_not_found
from arcbed_cloud.arm.paging import page
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Verb
from arcbed_cloud.providers.hybridcompute.machines import KIND, Machines
from arcbed_cloud.providers.hybridcompute.manifest import MACHINE_TYPE
from arcbed_cloud.providers.hybridcompute.rendering import render
from arcbed_cloud.providers.hybridcompute.versions import ASYNC_DELETE
from arcbed_cloud.store import Row
from arcbed_cloud.store.contract import Document

DELETE_WORK = "hybridcompute/machines/delete"
# Sorts behind every version before `ASYNC_DELETE`, previews included.
LAST_SYNC_DELETE = "2025-01-12"


class MachineHandlers:
    """One coroutine for each verb."""

    def __init__(self, context: ProviderContext, machines: Machines) -> None:
        self._context = context
        self._store = context.plane.store
        self._machines = machines
        context.operations.perform(DELETE_WORK, self._finish_delete)

    async def get(self, request: ArmRequest) -> ArmResponse:
        """Machines_Get."""
        expanded = _expanded(request)
        row = self._machines.get(request.target.key)
        if row is None:
            raise resource_not_found(request.target)
        return ArmResponse(200, body=self._render(row, request, expanded=expanded))

    async def put(self, request: ArmRequest) -> ArmResponse:
        """Machines_CreateOrUpdate: 200, also for a new machine."""
        row = await self._machines.put(request.target, request.json(), request.api_version, request.caller)
        return ArmResponse(200, body=self._render(row, request))

    async def patch(self, request: ArmRequest) -> ArmResponse:
        """Machines_Update."""
        row = await self._machines.patch(request.target, request.json(), request.api_version, request.caller)
        if row is None:
            raise resource_not_found(request.target)
        return ArmResponse(200, body=self._render(row, request))

    async def delete(self, request: ArmRequest) -> ArmResponse:
        """Machines_Delete before 2025-01-13: done when answered."""
        found = await self._machines.delete(request.target.key)
        return ArmResponse(200 if found else 204)

    async def begin_delete(self, request: ArmRequest) -> ArmResponse:
        """Machines_Delete from 2025-01-13 on: 202 with both monitors."""
        async with self._store.unit() as unit:
            row = self._machines.get(request.target.key)
            if row is None:
                return ArmResponse(204)
            self._machines.mark_deleting(unit, row)
            operation = self._context.operations.begin(
                unit,
                request,
                namespace=MACHINE_TYPE.namespace,
                location=row.document["location"],
                work=DELETE_WORK,
                arguments={"machine": row.key},
            )
        return ArmResponse(202, headers=operation.headers(request))

    async def _finish_delete(self, operation: Document) -> None:
        async with self._store.unit() as unit:
            row = self._machines.get(operation["work"]["arguments"]["machine"])
            if row is not None and row.document["properties"]["provisioningState"] == "Deleting":
                self._machines.drop(unit, row)
            self._context.operations.succeed(unit, operation["name"])

    async def list_group(self, request: ArmRequest) -> ArmResponse:
        """Machines_ListByResourceGroup."""
        rows = self._store.rows("resources", kind=KIND, scope=request.target.scope.lower())
        return self._page(request, rows)

    async def list_subscription(self, request: ArmRequest) -> ArmResponse:
        """Machines_ListBySubscription."""
        prefix = f"{request.target.scope.lower()}/"
        rows = [row for row in self._store.rows("resources", kind=KIND) if row.key.startswith(prefix)]
        return self._page(request, rows)

    def _page(self, request: ArmRequest, rows: Any) -> ArmResponse:
        expanded = _expanded(request)
        return page(request, rows, lambda row: self._render(row, request, expanded=expanded))

    def _render(self, row: Row, request: ArmRequest, *, expanded: bool = False) -> bytes:
        return render(row, request.api_version, self._machines.extensions, instance_view=expanded)


def _expanded(request: ArmRequest) -> bool:
    """True for ``$expand=instanceView``, the one value of the swagger's enum InstanceViewTypes."""
    value = request.query.get("$expand")
    if not value:
        return False
    if value.lower() != "instanceview":
        raise ArmError(
            400,
            "InvalidExpandQueryOption",
            f"The value '{value}' of '$expand' in the query string is invalid. "
            "The supported values are 'instanceView'.",
        )
    return True


def machine_type(context: ProviderContext, machines: Machines) -> ResourceType:
    """The row of ``Microsoft.HybridCompute/machines``."""
    on = MachineHandlers(context, machines)
    verbs = (
        Verb(
            operation_id="Machines_CreateOrUpdate",
            method="PUT",
            on=On.ITEM,
            handler=on.put,
            success=(200,),
            body="Machine",
            answer="Machine",
        ),
        Verb(
            operation_id="Machines_Update",
            method="PATCH",
            on=On.ITEM,
            handler=on.patch,
            success=(200,),
            body="MachineUpdate",
            answer="Machine",
        ),
        Verb(
            operation_id="Machines_Get",
            method="GET",
            on=On.ITEM,
            handler=on.get,
            success=(200,),
            answer="Machine",
            parameters=("$expand",),
        ),
        Verb(
            operation_id="Machines_Delete",
            method="DELETE",
            on=On.ITEM,
            handler=on.delete,
            success=(200, 204),
            until=LAST_SYNC_DELETE,
        ),
        Verb(
            operation_id="Machines_Delete",
            method="DELETE",
            on=On.ITEM,
            handler=on.begin_delete,
            success=(202, 204),
            since=ASYNC_DELETE,
        ),
        Verb(
            operation_id="Machines_ListByResourceGroup",
            method="GET",
            on=On.GROUP_LIST,
            handler=on.list_group,
            success=(200,),
            answer="MachineListResult",
            parameters=("$expand",),
        ),
        Verb(
            operation_id="Machines_ListBySubscription",
            method="GET",
            on=On.SUBSCRIPTION_LIST,
            handler=on.list_subscription,
            success=(200,),
            answer="MachineListResult",
        ),
    )
    return replace(MACHINE_TYPE, verbs=verbs, on_delete=machines.forget)
