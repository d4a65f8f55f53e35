"""The activity log: what ARM writes down about every write.

Rows of the journal ``activity`` hold finished events (Microsoft.Insights eventtypes, api-version 2015-04-01);
their scope is the subscription in lower case.
"""

from __future__ import annotations

from typing import Any

from arcbed_cloud.arm import times
from arcbed_cloud.arm.request import ArmRequest
from arcbed_cloud.plane import Plane
from arcbed_cloud.services.entra import Directory
from arcbed_cloud.store.contract import Document, Unit

JOURNAL = "activity"
KEEP_ROWS = 50_000
_TRIM_EVERY = 10_000
_REASONS = {
    200: "OK",
    201: "Created",
    202: "Accepted",
    204: "NoContent",
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    412: "PreconditionFailed",
    413: "RequestEntityTooLarge",
    429: "TooManyRequests",
    500: "InternalServerError",
}


def _localized(value: str, text: str | None = None) -> dict[str, str]:
    return {"value": value, "localizedValue": value if text is None else text}


class ActivityLog:
    """Writes events; reading them is Microsoft.Insights' part."""

    def __init__(self, plane: Plane, directory: Directory) -> None:
        self._plane = plane
        self._directory = directory
        self._written = 0

    def describe(self, request: ArmRequest) -> Document:
        """What all events about one call have in common; goes into an operation's row for its last event."""
        target = request.target
        return {
            "authorization": {"action": request.action, "scope": str(target)},
            "caller": request.caller.name,
            "claims": {key: str(value) for key, value in request.caller.claims.items()},
            "correlationId": request.correlation_id,
            "httpRequest": {
                "clientRequestId": request.headers.get("x-ms-client-request-id", request.request_id),
                "clientIpAddress": request.client_ip,
                "method": request.method,
                "uri": f"{request.base_url}{request.path}",
            },
            "resourceGroupName": target.group or "",
            "resourceProvider": target.namespace or "Microsoft.Resources",
            "resourceId": str(target),
            "resourceType": "/".join(request.action.split("/")[:-1]),
            "operationId": request.request_id,
            "operation": request.action,
            "subscriptionId": target.subscription or "",
        }

    def answered(self, unit: Unit, request: ArmRequest, status: int) -> None:
        """Begin and end of a call; a 202 is only Accepted and its operation writes the rest."""
        described = self.describe(request)
        self._append(unit, described, "BeginRequest", "Started", "", None)
        outcome = "Failed" if status >= 400 else {202: "Accepted"}.get(status, "Succeeded")
        reason = _REASONS.get(status, str(status))
        self._append(unit, described, "EndRequest", outcome, reason, status)

    def completed(self, unit: Unit, described: Document, outcome: str) -> None:
        """The end of an operation that was answered with 202."""
        if described["operation"]:
            self._append(unit, described, "EndRequest", outcome, "", None)

    def _append(
        self, unit: Unit, described: Document, phase: str, status: str, reason: str, code: int | None
    ) -> None:
        unit.append(
            JOURNAL,
            self._event(described, phase, status, reason, code),
            kind=phase,
            scope=described["subscriptionId"].lower(),
        )
        self._written += 1
        if self._written % _TRIM_EVERY == 0:
            self._plane.store.trim(JOURNAL, KEEP_ROWS)

    def _event(
        self, described: Document, phase: str, status: str, reason: str, code: int | None
    ) -> dict[str, Any]:
        now = self._plane.clock.now()
        tenant_id = self._directory.tenant_id
        event_id = self._plane.ids.guid()
        resource_id = described["resourceId"]
        sub_status = _localized(reason, f"{reason} (HTTP Status Code: {code})" if code else "")
        return {
            "authorization": described["authorization"],
            "caller": described["caller"],
            "channels": "Operation",
            "claims": described["claims"],
            "correlationId": described["correlationId"],
            "description": "",
            "eventDataId": event_id,
            "eventName": _localized(phase, phase.replace("Request", " request")),
            "category": _localized("Administrative"),
            "httpRequest": described["httpRequest"],
            "id": f"{resource_id}/events/{event_id}/ticks/{times.ticks(now)}",
            "level": "Error" if status == "Failed" else "Informational",
            "resourceGroupName": described["resourceGroupName"],
            "resourceProviderName": _localized(described["resourceProvider"]),
            "resourceId": resource_id,
            "resourceType": _localized(described["resourceType"]),
            "operationId": described["operationId"],
            "operationName": _localized(described["operation"]),
            "properties": {
                "statusCode": reason or None,
                "serviceRequestId": described["operationId"],
                "eventCategory": "Administrative",
                "entity": resource_id,
                "message": described["operation"],
                "hierarchy": f"{tenant_id}/{described['subscriptionId']}",
            },
            "status": _localized(status),
            "subStatus": sub_status,
            "eventTimestamp": times.iso7(now),
            "submissionTimestamp": times.iso7(now),
            "subscriptionId": described["subscriptionId"],
            "tenantId": tenant_id,
        }
