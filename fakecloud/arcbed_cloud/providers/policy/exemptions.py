"""Policy exemptions (PolicyExemptions_*): resources whose state is Exempt, while the agent goes on scanning.

Rows of the table ``resources`` of kind `EXEMPTIONS`; the scope is the lower-case id that they are made at.
Source: Microsoft's article "Azure Policy exemption structure".
"""

from __future__ import annotations

from typing import Any

from arcbed_cloud.arm import filters, times
from arcbed_cloud.arm.access import within
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError, invalid_content
from arcbed_cloud.arm.paging import page
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.providers.policy import errors
from arcbed_cloud.providers.policy.definitions import system_data
from arcbed_cloud.providers.policy.library import EXEMPTIONS, Library
from arcbed_cloud.providers.policy.parameters import check_depth
from arcbed_cloud.store.contract import Document, Row

TYPE = "Microsoft.Authorization/policyExemptions"
CATEGORIES = ("Waiver", "Mitigated")
_TEXTS = ("displayName", "description")
_CALLS = {"atscope", "atexactscope", "excludeexpired"}
_FIELDS = {"policyassignmentid": "eq"}


class Exemptions:
    """The handlers."""

    def __init__(self, context: ProviderContext, library: Library) -> None:
        self._clock = context.plane.clock
        self._store = context.plane.store
        self._library = library

    async def put(self, request: ArmRequest) -> ArmResponse:
        """201 for a new one, 200 for a changed one; states follow at once (see `schedule`)."""
        errors.refuse_management_group(request.target)
        body = request.json().get("properties")
        if not isinstance(body, dict):
            raise invalid_content("'properties' is required")
        check_depth(body, "properties")
        properties = self._properties(request, body)
        async with self._store.unit() as unit:
            before = self._row(request)
            old = before.document if before is not None else None
            document = {
                "properties": properties,
                "id": old["id"] if old else str(request.target),
                "name": old["name"] if old else request.target.name,
                "type": TYPE,
                "systemData": system_data(
                    request, times.iso7(self._clock.now()), old.get("systemData") if old else None
                ),
            }
            scope = request.target.scope.lower()
            unit.put("resources", request.target.key, document, kind=EXEMPTIONS, scope=scope)
        return ArmResponse(201 if before is None else 200, document)

    async def get(self, request: ArmRequest) -> ArmResponse:
        """One exemption."""
        errors.refuse_management_group(request.target)
        row = self._row(request)
        if row is None:
            raise ArmError(
                404, "PolicyExemptionNotFound", f"The policy exemption '{request.target.name}' is not found."
            )
        return ArmResponse(body=row.body)

    async def delete(self, request: ArmRequest) -> ArmResponse:
        """200, or 204 if there was none."""
        errors.refuse_management_group(request.target)
        async with self._store.unit() as unit:
            row = self._row(request)
            if row is None:
                return ArmResponse(204)
            unit.delete("resources", row.key)
        return ArmResponse(200)

    async def list_all(self, request: ArmRequest) -> ArmResponse:
        """Exemptions at, above and below the scope."""
        errors.refuse_management_group(request.target)
        text = request.query.get("$filter", "")
        expression = filters.parse(text)
        filters.restrict(text, expression, _FIELDS, _CALLS)
        scope = request.target.scope.lower()
        rows = [
            row
            for row in self._store.rows("resources", kind=EXEMPTIONS)
            if (within(scope, row.scope) or within(row.scope, scope))
            and filters.holds(expression, lambda leaf, one=row: self._matches(one, leaf, scope))  # type: ignore[misc]
        ]
        return page(request, rows, lambda row: row.body)

    def _row(self, request: ArmRequest) -> Row | None:
        row = self._store.get("resources", request.target.key)
        return row if row is not None and row.kind == EXEMPTIONS else None

    def _matches(self, row: Row, leaf: filters.Comparison | filters.Call, scope: str) -> bool:
        properties = row.document["properties"]
        if isinstance(leaf, filters.Comparison):
            return filters.compare("eq", properties["policyAssignmentId"], leaf.value)
        match leaf.name:
            case "atscope":
                return within(scope, row.scope)
            case "atexactscope":
                return row.scope == scope
        until = properties.get("expiresOn")
        return until is None or bool(until > times.iso7(self._clock.now()))

    def _properties(self, request: ArmRequest, body: Document) -> Document:
        wanted = body.get("policyAssignmentId")
        if not isinstance(wanted, str):
            raise invalid_content("'properties.policyAssignmentId' must be a string")
        assignment = self._library.assignment(wanted)
        if assignment is None:
            raise errors.assignment_not_found(wanted.rsplit("/", 1)[-1])
        if not within(request.target.scope.lower(), assignment.scope):
            raise _invalid(request, f"The policy assignment '{wanted}' does not apply at its scope.")
        if body.get("resourceSelectors"):
            raise _invalid(request, "'resourceSelectors' is not served.")
        category = body.get("exemptionCategory")
        if category not in CATEGORIES:
            raise invalid_content(f"'properties.exemptionCategory' must be one of {', '.join(CATEGORIES)}")
        found: Document = {
            "policyAssignmentId": assignment.document["id"],
            "policyDefinitionReferenceIds": self._references(request, body, assignment.document),
            "exemptionCategory": category,
            "metadata": body.get("metadata") or {},
        }
        if body.get("expiresOn") is not None:
            found["expiresOn"] = _moment(body["expiresOn"])
        for name in _TEXTS:
            if body.get(name) is not None:
                if not isinstance(body[name], str):
                    raise invalid_content(f"'properties.{name}' must be a string")
                found[name] = body[name]
        return found

    def _references(self, request: ArmRequest, body: Document, assignment: Document) -> list[str]:
        given = body.get("policyDefinitionReferenceIds") or []
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise invalid_content("'properties.policyDefinitionReferenceIds' must be an array of strings")
        known = {member.reference.lower() for member in self._library.members(assignment)}
        if missing := [one for one in given if one.lower() not in known]:
            raise _invalid(request, f"The policy assignment has no definition '{missing[0]}'.")
        return given


def _invalid(request: ArmRequest, why: str) -> ArmError:
    return ArmError(
        400,
        "InvalidCreatePolicyExemptionRequest",
        f"The policy exemption '{request.target.name}' create request is invalid. {why}",
    )


def _moment(given: Any) -> str:
    try:
        return times.iso7(times.read(given))
    except (ValueError, AttributeError):
        raise invalid_content("'properties.expiresOn' must be a time in ISO 8601") from None
