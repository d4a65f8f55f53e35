"""The activity log: what ARM writes down about every write.

Rows of the journal ``activity`` hold finished events (Microsoft.Insights eventtypes, api-version 2015-04-01);
their scope is the subscription in lower case. Every write makes two that are mostly alike, so what they have
in common is made and written as JSON once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from arcbed_cloud.arm import times
from arcbed_cloud.arm.request import ArmRequest
from arcbed_cloud.plane import Plane
from arcbed_cloud.services.entra import Directory
from arcbed_cloud.store.contract import Document, Unit

JOURNAL = "activity"
KEEP_ROWS = 50_000
_TRIM_EVERY = 10_000
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


# Phase, status, reason and HTTP status code of one event.
_What = tuple[str, str, str, int | None]


def _localized(value: str, text: str | None = None) -> dict[str, str]:
    return {"value": value, "localizedValue": value if text is None else text}


class ActivityLog:
    """Writes events; reading them is Microsoft.Insights' part."""

    def __init__(self, plane: Plane, directory: Directory) -> None:
        self._plane = plane
        self._directory = directory
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
        described = self.describe(request)
        common = self._common(described)
        self._append(unit, described, common, ("BeginRequest", "Started", "", None))
        outcome = "Failed" if status >= 400 else {202: "Accepted"}.get(status, "Succeeded")
        reason = _REASONS.get(status, str(status))
        self._append(unit, described, common, ("EndRequest", outcome, reason, status))

    def completed(self, unit: Unit, described: Document, outcome: str) -> None:
        """The end of an operation that was answered with 202."""
        if described["operation"]:
            self._append(unit, described, self._common(described), ("EndRequest", outcome, "", None))

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

    def _append(self, unit: Unit, described: Document, common: bytes, what: _What) -> None:
        own = orjson.dumps(self._own(described, what, self._plane.clock.now()))
        unit.append(
            JOURNAL,
            b"%b,%b" % (own[:-1], common[1:]),
            kind=what[0],
            scope=described["subscriptionId"].lower(),
        )
        self._written += 1
        if self._written % _TRIM_EVERY == 0:
            self._plane.store.trim(JOURNAL, KEEP_ROWS)

    def _own(self, described: Document, what: _What, now: datetime) -> dict[str, Any]:
        """The members in which the events of one call differ."""
        phase, status, reason, code = what
        event_id = self._plane.ids.guid()
        resource_id = described["resourceId"]
        moment = times.iso7(now)
        return {
            "eventDataId": event_id,
            "eventName": _localized(phase, phase.replace("Request", " request")),
            "id": f"{resource_id}/events/{event_id}/ticks/{times.ticks(now)}",
            "level": "Error" if status == "Failed" else "Informational",
            "properties": {
                "statusCode": reason or None,
                "serviceRequestId": described["operationId"],
                "eventCategory": "Administrative",
                "entity": resource_id,
                "message": described["operation"],
                "hierarchy": f"{self._directory.tenant_id}/{described['subscriptionId']}",
            },
            "status": _localized(status),
            "subStatus": _localized(reason, f"{reason} (HTTP Status Code: {code})" if code else ""),
            "eventTimestamp": moment,
            "submissionTimestamp": moment,
        }

    def _common(self, described: Document) -> bytes:
        """The members that the events of one call share, as a JSON object."""
        return orjson.dumps(
            {
                "authorization": described["authorization"],
                "caller": described["caller"],
                "channels": "Operation",
                "claims": described["claims"],
                "correlationId": described["correlationId"],
                "description": "",
                "category": _localized("Administrative"),
                "httpRequest": described["httpRequest"],
                "resourceGroupName": described["resourceGroupName"],
                "resourceProviderName": _localized(described["resourceProvider"]),
                "resourceId": described["resourceId"],
                "resourceType": _localized(described["resourceType"]),
                "operationId": described["operationId"],
                "operationName": _localized(described["operation"]),
                "subscriptionId": described["subscriptionId"],
                "tenantId": self._directory.tenant_id,
            }
        )
