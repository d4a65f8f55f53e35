"""Remediation tasks (Remediations_*): deployments of a definition on what is not compliant.

Rows of the table ``resources`` of kind `KIND`; the members ``due`` (when the task starts) and
``deployments`` are not part of ARM's answer. A task starts `remediating.AFTER` its PUT, so there is a while
in which it can be cancelled.
"""

from __future__ import annotations

from typing import Any

import orjson

from arcbed_cloud.arm import times, validation
from arcbed_cloud.arm.access import within
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError, invalid_content
from arcbed_cloud.arm.paging import page, page_of
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.providers.policy import errors
from arcbed_cloud.providers.policy.definitions import system_data
from arcbed_cloud.providers.policy.evaluation import Evaluator
from arcbed_cloud.providers.policy.library import Library
from arcbed_cloud.providers.policy.remediating import (
    AFTER,
    ENDED,
    KIND,
    TYPE,
    Remediator,
    counted,
    invalid,
    state_of,
    write,
)
from arcbed_cloud.store.contract import Document, Row

_MODES = ("ExistingNonCompliant", "ReEvaluateCompliance")
_HIDDEN = ("due", "deployments")
_MOST = 500


class Remediations:
    """The handlers."""

    def __init__(
        self,
        context: ProviderContext,
        library: Library,
        evaluator: Evaluator,
        remediator: Remediator,
    ) -> None:
        self._store = context.plane.store
        self._clock = context.plane.clock
        self._library = library
        self._evaluator = evaluator
        self._remediator = remediator

    # -- handlers ------------------------------------------------------------------------------------------

    async def put(self, request: ArmRequest) -> ArmResponse:
        """201 with provisioningState Accepted; 200 where one of the name had ended and starts again."""
        errors.refuse_management_group(request.target)
        given = request.json().get("properties")
        if not isinstance(given, dict):
            raise invalid_content("'properties' is required")
        async with self._store.unit() as unit:
            before = self._row(request)
            if before is not None and state_of(before) not in ENDED:
                raise invalid(f"The remediation '{request.target.name}' is still running.", "Update")
            document = self._document(request, self._properties(request, given), before)
            write(unit, document)
        return ArmResponse(201 if before is None else 200, body=_rendered(document))

    async def get(self, request: ArmRequest) -> ArmResponse:
        """One remediation."""
        return ArmResponse(body=_rendered(self._existing(request).document))

    async def list_all(self, request: ArmRequest) -> ArmResponse:
        """Those at and below the scope."""
        errors.refuse_management_group(request.target)
        scope = request.target.scope.lower()
        rows = [row for row in self._store.rows("resources", kind=KIND) if within(row.scope, scope)]
        return page(request, rows, lambda row: _rendered(row.document))

    async def delete(self, request: ArmRequest) -> ArmResponse:
        """200 with what was deleted, 204 if there was none; a running one must be cancelled first."""
        errors.refuse_management_group(request.target)
        async with self._store.unit() as unit:
            row = self._row(request)
            if row is None:
                return ArmResponse(204)
            if state_of(row) not in ENDED:
                raise invalid(
                    f"The remediation '{request.target.name}' is running. Cancel it before it is deleted.",
                    "Delete",
                )
            unit.delete("resources", row.key)
        return ArmResponse(body=_rendered(row.document))

    async def cancel(self, request: ArmRequest) -> ArmResponse:
        """Cancel one that has not ended."""
        async with self._store.unit() as unit:
            row = self._existing(request)
            if state_of(row) in ENDED:
                raise invalid(
                    f"The remediation '{request.target.names[0]}' has ended as '{state_of(row)}' already.",
                    "Cancel",
                )
            document = self._remediator.ended(row.document, "Canceled", row.document["deployments"])
            write(unit, document)
        return ArmResponse(body=_rendered(document))

    async def deployments(self, request: ArmRequest) -> ArmResponse:
        """What it has deployed where."""
        found: list[Document] = self._existing(request).document["deployments"]
        return page_of(request, found, orjson.dumps, key=lambda one: one["remediatedResourceId"].lower())

    # -- parts of a write ----------------------------------------------------------------------------------

    def _row(self, request: ArmRequest) -> Row | None:
        target = request.target
        key = f"{target.scope}/providers/{TYPE}/{target.names[0]}".lower()
        row = self._store.get("resources", key)
        return row if row is not None and row.kind == KIND else None

    def _existing(self, request: ArmRequest) -> Row:
        errors.refuse_management_group(request.target)
        row = self._row(request)
        if row is None:
            raise ArmError(
                404, "RemediationNotFound", f"The remediation '{request.target.names[0]}' was not found."
            )
        return row

    def _properties(self, request: ArmRequest, given: Document) -> Document:
        wanted = given.get("policyAssignmentId")
        if not isinstance(wanted, str):
            raise invalid_content("'properties.policyAssignmentId' must be a string")
        assignment = self._library.assignment(wanted)
        if assignment is None:
            raise errors.assignment_not_found(wanted.rsplit("/", 1)[-1])
        scope = request.target.scope.lower()
        if not within(scope, assignment.scope) and not within(assignment.scope, scope):
            raise invalid(f"The policy assignment '{wanted}' does not apply at scope '{scope}'.")
        reference = given.get("policyDefinitionReferenceId")
        member = self._remediator.member(assignment.document, reference)
        if self._evaluator.effect(member) != "deployifnotexists":
            raise invalid(
                f"The policy definition '{member.definition['id']}' has the effect "
                f"'{self._evaluator.effect(member)}'; only 'deployIfNotExists' can be remediated."
            )
        mode = given.get("resourceDiscoveryMode") or _MODES[0]
        if mode not in _MODES:
            raise invalid_content(f"'properties.resourceDiscoveryMode' must be one of {', '.join(_MODES)}")
        found: Document = {
            "policyAssignmentId": assignment.document["id"],
            "resourceDiscoveryMode": mode,
            "filters": {"locations": _locations(given.get("filters"))},
            "resourceCount": _count(given, "resourceCount"),
            "parallelDeployments": _count(given, "parallelDeployments", 30, 10),
            "failureThreshold": {"percentage": _threshold(given.get("failureThreshold"))},
        }
        return found | ({"policyDefinitionReferenceId": member.reference} if member.reference else {})

    def _document(self, request: ArmRequest, properties: Document, before: Row | None) -> Document:
        now = self._clock.now()
        made = before.document["properties"]["createdOn"] if before is not None else times.iso7(now)
        kept = before.document.get("systemData") if before is not None else None
        return {
            "properties": {
                **properties,
                "provisioningState": "Accepted",
                "createdOn": made,
                "lastUpdatedOn": times.iso7(now),
                "deploymentStatus": counted([]),
                "statusMessage": None,
                "correlationId": request.correlation_id,
            },
            "id": before.document["id"] if before is not None else str(request.target),
            "name": request.target.name,
            "type": TYPE,
            "systemData": system_data(request, times.iso7(now), kept),
            "due": times.iso7(now + AFTER),
            "deployments": [],
        }


def _rendered(document: Document) -> bytes:
    return orjson.dumps({name: value for name, value in document.items() if name not in _HIDDEN})


def _locations(given: Any) -> list[str]:
    if given is None:
        return []
    found = given.get("locations") if isinstance(given, dict) else None
    if found is None and isinstance(given, dict):
        return []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise invalid_content("'properties.filters.locations' must be an array of strings")
    return [validation.normalised(one) for one in found]


def _count(given: Document, name: str, most: int = 50_000, default: int = _MOST) -> int:
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise invalid_content(f"'properties.{name}' must be a whole number from 1 to {most}")
    return value


def _threshold(given: Any) -> float | None:
    value = given.get("percentage") if isinstance(given, dict) else None
    if given is None or value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise invalid_content("'properties.failureThreshold.percentage' must be a number from 0 to 1")
    return float(value)
