"""The activity log: what ARM writes down about every write.

A row of the journal ``activity`` is one call: what `ActivityLog.describe` says of it, the time ``at``, and
what happened: begin and end of the call, or the end of its operation. The scope is the subscription in lower
case. Calls are many and readers few, so the events themselves (Microsoft.Insights eventtypes, api-version
2015-04-01) are made when they are read: `events`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcbed_cloud.arm import times
from arcbed_cloud.arm.ids import parse
from arcbed_cloud.arm.request import ArmRequest
from arcbed_cloud.plane import Plane
from arcbed_cloud.store.contract import Document, Unit

JOURNAL = "activity"
KEEP_ROWS = 25_000
_TRIM_EVERY = 5_000
_MAX_CLAIMS = 1_024
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
# Id of the event, phase, status, reason and HTTP status code.
_Happened = tuple[str, str, str, str, int | None]


class ActivityLog:
    """Writes events; reading them is Microsoft.Insights' part."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._written = 0
        self._claims: dict[str, dict[str, str]] = {}

    def describe(self, request: ArmRequest) -> Document:
        """What all events about one call have in common; goes into an operation's row for its last event."""
        target = request.target
        return {
            "authorization": {"action": request.action, "scope": target.text},
            "caller": request.caller.name,
            "claims": self._told(request.caller.claims),
            "correlationId": request.correlation_id,
            "httpRequest": {
                "clientRequestId": request.headers.get("x-ms-client-request-id", request.request_id),
                "clientIpAddress": request.client_ip,
                "method": request.method,
                "uri": f"{request.base_url}{request.path}",
            },
            "resourceGroupName": target.group or "",
            "resourceProvider": target.namespace or "Microsoft.Resources",
            "resourceId": target.text,
            "resourceType": request.action.rpartition("/")[0],
            "operationId": request.request_id,
            "operation": request.action,
            "subscriptionId": target.subscription or "",
        }

    def answered(self, unit: Unit, request: ArmRequest, status: int) -> None:
        """Begin and end of a call; a 202 is only Accepted and its operation writes the rest."""
        outcome = "Failed" if status >= 400 else {202: "Accepted"}.get(status, "Succeeded")
        reason = _REASONS.get(status, str(status))
        begin = (self._plane.ids.guid(), "BeginRequest", "Started", "", None)
        end = (self._plane.ids.guid(), "EndRequest", outcome, reason, status)
        self._append(unit, self.describe(request), [begin, end])

    def by_service(self, unit: Unit, *, resource_id: str, action: str, service: str) -> None:
        """Something that a service did to a resource by itself, without a call.

        Args:
            unit: where the deed is written.
            resource_id: ARM id of the resource.
            action: the permission that a caller would have needed.
            service: the provider's namespace, as caller.
        """
        target, deed = parse(resource_id), self._plane.ids.guid()
        described = {
            "authorization": {"action": action, "scope": resource_id},
            "caller": service,
            "claims": {},
            "correlationId": deed,
            "httpRequest": None,
            "resourceGroupName": target.group or "",
            "resourceProvider": target.namespace or service,
            "resourceId": resource_id,
            "resourceType": action.rpartition("/")[0],
            "operationId": deed,
            "operation": action,
            "subscriptionId": target.subscription or "",
        }
        self._append(unit, described, [(self._plane.ids.guid(), "EndRequest", "Succeeded", "", None)])

    def completed(self, unit: Unit, described: Document, outcome: str) -> None:
        """The end of an operation that was answered with 202."""
        if described["operation"]:
            self._append(unit, described, [(self._plane.ids.guid(), "EndRequest", outcome, "", None)])

    def _told(self, claims: Mapping[str, Any]) -> dict[str, str]:
        """A token's claims as text, remembered by the token's own id."""
        token_id = str(claims.get("uti", ""))
        told = self._claims.get(token_id)
        if told is None:
            told = {key: str(value) for key, value in claims.items()}
            if token_id:
                if len(self._claims) >= _MAX_CLAIMS:
                    self._claims.clear()
                self._claims[token_id] = told
        return told

    def _append(self, unit: Unit, described: Document, happened: list[_Happened]) -> None:
        document = {**described, "at": times.iso7(self._plane.clock.now()), "events": happened}
        unit.append(JOURNAL, document, scope=described["subscriptionId"].lower())
        self._written += 1
        if self._written % _TRIM_EVERY == 0:
            self._plane.store.trim(JOURNAL, KEEP_ROWS)


def events(entry: Document, tenant_id: str) -> list[Document]:
    """The events of a row of the journal, oldest first."""
    return [_event(entry, tenant_id, *happened) for happened in entry["events"]]


def _event(
    entry: Document, tenant_id: str, event_id: str, phase: str, status: str, reason: str, code: int | None
) -> Document:
    resource_id = entry["resourceId"]
    return {
        "authorization": entry["authorization"],
        "caller": entry["caller"],
        "channels": "Operation",
        "claims": entry["claims"],
        "correlationId": entry["correlationId"],
        "description": "",
        "eventDataId": event_id,
        "eventName": _localized(phase, phase.replace("Request", " request")),
        "category": _localized("Administrative"),
        "httpRequest": entry["httpRequest"],
        "id": f"{resource_id}/events/{event_id}/ticks/{times.ticks(times.read(entry['at']))}",
        "level": "Error" if status == "Failed" else "Informational",
        "resourceGroupName": entry["resourceGroupName"],
        "resourceProviderName": _localized(entry["resourceProvider"]),
        "resourceId": resource_id,
        "resourceType": _localized(entry["resourceType"]),
        "operationId": entry["operationId"],
        "operationName": _localized(entry["operation"]),
        "properties": {
            "statusCode": reason or None,
            "serviceRequestId": entry["operationId"],
            "eventCategory": "Administrative",
            "entity": resource_id,
            "message": entry["operation"],
            "hierarchy": f"{tenant_id}/{entry['subscriptionId']}",
        },
        "status": _localized(status),
        "subStatus": _localized(reason, f"{reason} (HTTP Status Code: {code})" if code else ""),
        "eventTimestamp": entry["at"],
        "submissionTimestamp": entry["at"],
        "subscriptionId": entry["subscriptionId"],
        "tenantId": tenant_id,
    }


def _localized(value: str, text: str | None = None) -> dict[str, str]:
    return {"value": value, "localizedValue": value if text is None else text}
