"""Policy states (PolicyStates_*): queries, summaries, and evaluation on demand."""

from __future__ import annotations

from urllib.parse import quote

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.ids import ResourceId, parse
from arcbed_cloud.arm.operations import POLL_MILLISECONDS
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.providers.policy import errors, query
from arcbed_cloud.providers.policy.records import Records
from arcbed_cloud.providers.policy.schedule import Schedule
from arcbed_cloud.providers.policy.summary import summary
from arcbed_cloud.store.contract import Document

NAMESPACE = "Microsoft.PolicyInsights"
_WORK = "policy/scan"


class PolicyStates:
    """The handlers."""

    def __init__(self, context: ProviderContext, records: Records, schedule: Schedule) -> None:
        self._context = context
        self._records = records
        self._schedule = schedule
        context.operations.perform(_WORK, self._scan)

    async def query(self, request: ArmRequest) -> ArmResponse:
        """``latest`` or ``default`` states of a scope."""
        which = self._which(request, ("latest", "default"))
        options = request.query
        found = query.chosen(
            self._records.below(parse(request.target.scope), history=which == "default"), options
        )
        context = self._context_of(request, which)
        grouped = query.applied(found, options)
        if grouped is not None:
            return ArmResponse(200, _answer(context, grouped, len(grouped)))
        shown, token = query.paged(query.ordered(found, options), options)
        details = "policyevaluationdetails" in options.get("$expand", "").lower()
        value = [_shown(record, details=details) for record in shown]
        body = _answer(context, query.selected(value, options), len(value))
        for record in body["value"]:
            record |= {"@odata.id": None, "@odata.context": f"{context}/$entity"}
        if token is not None:
            body["@odata.nextLink"] = _link(request, token)
        return ArmResponse(200, body)

    async def summarize(self, request: ArmRequest) -> ArmResponse:
        """Counts over the newest states of a scope."""
        which = self._which(request, ("latest",))
        found = query.chosen(self._records.below(parse(request.target.scope)), request.query)
        context = self._context_of(request, "summary")
        base = f"{request.base_url}{request.target.scope}/providers/{NAMESPACE}/policyStates/{which}"
        value = summary(found, f"{base}/queryResults?api-version={request.api_version}")
        value = {"@odata.id": None, "@odata.context": f"{context}/$entity", **value}
        return ArmResponse(200, _answer(context, [value], 1))

    async def trigger(self, request: ArmRequest) -> ArmResponse:
        """202; the scan is a long-running operation."""
        self._which(request, ("latest",))
        target = request.target
        if target.subscription is None or parse(target.scope).namespace is not None:
            raise ArmError(
                400, "InvalidScope", "An evaluation is triggered on a subscription or a resource group."
            )
        async with self._context.plane.store.unit() as unit:
            operation = self._context.operations.begin(
                unit,
                request,
                namespace=NAMESPACE,
                location="global",
                work=_WORK,
                arguments={"scope": target.scope},
            )
        return _pending(request, operation.id)

    async def result(self, request: ArmRequest) -> ArmResponse:
        """202 while the scan runs, then 200."""
        answer = await self._context.operations.get_result(request)
        if answer.status == 202:
            return _pending(request, request.target.name)
        return ArmResponse(200, {"status": "Succeeded"})

    async def _scan(self, operation: Document) -> None:
        await self._schedule.scan(operation["work"]["arguments"]["scope"])
        async with self._context.plane.store.unit() as unit:
            self._context.operations.succeed(unit, operation["name"])

    @staticmethod
    def _which(request: ArmRequest, known: tuple[str, ...]) -> str:
        errors.refuse_management_group(request.target)
        if request.target.subscription is None:
            raise ArmError(400, "InvalidScope", "Policy states are asked for below a subscription.")
        which = request.target.names[0].lower()
        if which not in known:
            raise ArmError(
                400,
                "InvalidPolicyStatesResource",
                f"The policy states resource '{request.target.names[0]}' is not one of {', '.join(known)}.",
            )
        return which

    @staticmethod
    def _context_of(request: ArmRequest, what: str) -> str:
        return f"{request.base_url}{request.target.scope}/providers/{NAMESPACE}/policyStates/$metadata#{what}"


def _answer(context: str, value: list[Document], count: int) -> Document:
    return {"@odata.context": context, "@odata.count": count, "value": value}


def _shown(record: Document, *, details: bool) -> Document:
    shown = {name: value for name, value in record.items() if name != "stateDetails"}
    if details and record["stateDetails"]:
        shown["policyEvaluationDetails"] = record["stateDetails"]
    return shown


def _link(request: ArmRequest, token: str) -> str:
    options = {**request.query, "$skiptoken": token}
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
    return f"{request.base_url}{request.path}?{text}"


def _pending(request: ArmRequest, operation_id: str) -> ArmResponse:
    scope: ResourceId = parse(request.target.scope)
    monitor = (
        f"{request.base_url}{scope}/providers/{NAMESPACE}/asyncOperationResults/{operation_id}"
        f"?api-version={request.api_version}"
    )
    return ArmResponse(202, headers={"Location": monitor, "x-ms-retry-after-ms": str(POLL_MILLISECONDS)})
