"""The operations of ARM on guest assignments: parse, call the domain, answer.

Operation ids are the swagger's for machines; those for other parents ask the same. Behind the other parents
there is no machine here: their assignments are kept, and stay Pending.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import resource_not_found
from arcbed_cloud.arm.ids import ResourceId, parse
from arcbed_cloud.arm.paging import page
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import Handler, On, ResourceType, Scope, Verb
from arcbed_cloud.providers.guestconfiguration import rendering
from arcbed_cloud.providers.guestconfiguration.assignments import KIND, GuestAssignments, key_of
from arcbed_cloud.providers.guestconfiguration.reports import Reports
from arcbed_cloud.providers.guestconfiguration.schemas import SCHEMAS
from arcbed_cloud.store.contract import Row

NAMESPACE = "Microsoft.GuestConfiguration"
API_VERSIONS = (
    "2024-04-05",
    "2022-01-25",
    "2021-01-25",
    "2020-06-25",
    "2018-11-20",
    "2018-06-30-preview",
    "2018-01-20-preview",
)
PARENTS = (
    "Microsoft.HybridCompute/machines",
    "Microsoft.Compute/virtualMachines",
    "Microsoft.Compute/virtualMachineScaleSets",
    "Microsoft.ConnectedVMwarevSphere/virtualmachines",
)
# Where deleting what is not there is 204; elsewhere the swagger knows 200 alone.
_FORGIVING = frozenset(
    {"microsoft.compute/virtualmachinescalesets", "microsoft.connectedvmwarevsphere/virtualmachines"}
)
NAME = r"[^<>%&:\\?/#]+"


class AssignmentHandlers:
    """One coroutine for each verb."""

    def __init__(self, context: ProviderContext, assignments: GuestAssignments, reports: Reports) -> None:
        self._store = context.plane.store
        self._assignments = assignments
        self._reports = reports

    async def put(self, request: ArmRequest) -> ArmResponse:
        """GuestConfigurationHCRPAssignments_CreateOrUpdate: 201 for a new one, 200 for one that was there."""
        target = request.target
        body = request.json()
        async with self._store.unit() as unit:
            before = self._assignments.get(target.scope, target.name)
            row = self._assignments.put(unit, target.scope, target.name, body)
        if before is None:
            return ArmResponse(201, body=rendering.created(row, request.api_version))
        return ArmResponse(200, body=rendering.assignment(row, request.api_version))

    async def get(self, request: ArmRequest) -> ArmResponse:
        """GuestConfigurationHCRPAssignments_Get."""
        row = self._found(request.target)
        return ArmResponse(200, body=rendering.assignment(row, request.api_version))

    async def delete(self, request: ArmRequest) -> ArmResponse:
        """GuestConfigurationHCRPAssignments_Delete: 200 without a body."""
        target = request.target
        forgiving = parse(target.scope).type.lower() in _FORGIVING
        async with self._store.unit() as unit:
            if self._assignments.get(target.scope, target.name) is None and forgiving:
                return ArmResponse(204)
            self._found(target)
            self._assignments.remove(unit, target.scope, target.name)
        return ArmResponse(200)

    async def list_on_parent(self, request: ArmRequest) -> ArmResponse:
        """GuestConfigurationHCRPAssignments_List."""
        return _page(request, self._assignments.on(request.target.scope))

    async def list_below(self, request: ArmRequest) -> ArmResponse:
        """GuestConfigurationAssignments_RGList and _SubscriptionList: 200, also for none."""
        prefix = f"{request.target.scope.lower()}/"
        rows = self._store.rows("resources", kind=KIND)
        return _page(request, [row for row in rows if row.key.startswith(prefix)])

    async def list_reports(self, request: ArmRequest) -> ArmResponse:
        """GuestConfigurationHCRPAssignmentReports_List: newest first, without details, on one page."""
        rows = self._reports.of(self._parent(request.target).key)
        body = b",".join(rendering.listed_report(row) for row in reversed(rows))
        return ArmResponse(200, body=b'{"value":[' + body + b"]}")

    async def get_report(self, request: ArmRequest) -> ArmResponse:
        """GuestConfigurationHCRPAssignmentReports_Get."""
        row = self._reports.get(self._parent(request.target).key, request.target.name)
        if row is None:
            raise resource_not_found(request.target)
        return ArmResponse(200, body=rendering.report(row))

    def _found(self, target: ResourceId) -> Row:
        row = self._assignments.get(target.scope, target.name)
        if row is None:
            raise resource_not_found(target)
        return row

    def _parent(self, target: ResourceId) -> Row:
        """The assignment whose reports are asked for."""
        row = self._store.get("resources", key_of(target.scope, target.names[0]))
        if row is None:
            raise resource_not_found(parse(f"{target.scope}/providers/{KIND}/{target.names[0]}"))
        return row


def _page(request: ArmRequest, rows: Sequence[Row]) -> ArmResponse:
    return page(request, rows, lambda row: rendering.listed(row, request.api_version))


def assignment_types(
    context: ProviderContext, assignments: GuestAssignments, reports: Reports
) -> list[ResourceType]:
    """The rows of assignments and of their reports."""
    on = AssignmentHandlers(context, assignments, reports)
    extension = partial(
        ResourceType,
        namespace=NAMESPACE,
        scope=Scope.ANY,
        api_versions=API_VERSIONS,
        parents=PARENTS,
        schemas=SCHEMAS,
    )
    one, many = "GuestConfigurationAssignment", "GuestConfigurationAssignmentList"
    return [
        extension(
            path="guestConfigurationAssignments",
            name_parameter="guestConfigurationAssignmentName",
            name_pattern=NAME,
            on_delete=assignments.forget,
            verbs=(
                _verb("HCRPAssignments_CreateOrUpdate", "PUT", On.ITEM, on.put, one, (201, 200)),
                _verb("HCRPAssignments_Get", "GET", On.ITEM, on.get, one),
                _verb("HCRPAssignments_Delete", "DELETE", On.ITEM, on.delete, None),
                _verb("HCRPAssignments_List", "GET", On.EXTENSION_LIST, on.list_on_parent, many),
                _verb("Assignments_RGList", "GET", On.GROUP_LIST, on.list_below, many),
                _verb("Assignments_SubscriptionList", "GET", On.SUBSCRIPTION_LIST, on.list_below, many),
            ),
        ),
        extension(
            path="guestConfigurationAssignments/reports",
            name_parameter="reportId",
            verbs=(
                _verb(
                    "HCRPAssignmentReports_List",
                    "GET",
                    On.EXTENSION_LIST,
                    on.list_reports,
                    f"{one}ReportList",
                ),
                _verb("HCRPAssignmentReports_Get", "GET", On.ITEM, on.get_report, f"{one}Report"),
            ),
        ),
    ]


def _verb(
    name: str, method: str, on: On, handler: Handler, answer: str | None, success: tuple[int, ...] = (200,)
) -> Verb:
    return Verb(
        operation_id=f"GuestConfiguration{name}",
        method=method,
        on=on,
        handler=handler,
        success=success,
        body=answer if method == "PUT" else None,
        answer=answer,
    )
