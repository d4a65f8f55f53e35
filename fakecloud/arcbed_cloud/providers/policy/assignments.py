"""Policy assignments at a subscription, a resource group or a resource (PolicyAssignments_*).

Rows of the table ``resources`` of kind `ASSIGNMENTS`; the scope is the lower-case id that they are assigned
at.
"""

from __future__ import annotations

from typing import Any

from arcbed_cloud.arm import filters, times, validation
from arcbed_cloud.arm.access import within
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError, invalid_content
from arcbed_cloud.arm.ids import ResourceId
from arcbed_cloud.arm.paging import page
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.providers.policy import errors
from arcbed_cloud.providers.policy.definitions import stamps, system_data
from arcbed_cloud.providers.policy.evaluation import Evaluator
from arcbed_cloud.providers.policy.library import ASSIGNMENTS, Library
from arcbed_cloud.providers.policy.parameters import check_depth, check_given
from arcbed_cloud.providers.policy.schedule import mark_key
from arcbed_cloud.providers.resources.regions import NAMES
from arcbed_cloud.store.contract import Document, Row, Unit

TYPE = "Microsoft.Authorization/policyAssignments"
MODES = ("Default", "DoNotEnforce")
_FIELDS = {"policydefinitionid": "eq"}
_CALLS = {"atscope", "atexactscope"}
_TEXTS = ("displayName", "description", "definitionVersion")
#: Members of newer api-versions that would change what is evaluated.
_REFUSED = ("resourceSelectors", "overrides")


class PolicyAssignments:
    """The handlers."""

    def __init__(self, context: ProviderContext, library: Library, evaluator: Evaluator) -> None:
        self._context = context
        self._store = context.plane.store
        self._library = library
        self._evaluator = evaluator

    async def put(self, request: ArmRequest) -> ArmResponse:
        """201 on create and on update. The evaluation follows by itself (see `schedule`)."""
        errors.refuse_management_group(request.target)
        body = request.json()
        async with self._store.unit() as unit:
            before = self._row(request.target)
            properties = self._properties(request, body, before)
            document = self._document(request, properties, before)
            self._set_place(unit, document, body, before)
            self._check_identity(document)
            self.write(unit, document)
        return ArmResponse(201, document)

    async def update(self, request: ArmRequest) -> ArmResponse:
        """PATCH changes identity and location only."""
        errors.refuse_management_group(request.target)
        body = request.json()
        _refuse_selectors(request.target.name, body.get("properties"))
        async with self._store.unit() as unit:
            before = self._existing(request)
            document = dict(before.document)
            document["systemData"] = system_data(request, self._now(), document.get("systemData"))
            self._set_place(unit, document, {"identity": document.get("identity"), **body}, before)
            self._check_identity(document)
            self.write(unit, document)
        return ArmResponse(200, document)

    async def get(self, request: ArmRequest) -> ArmResponse:
        """One assignment."""
        errors.refuse_management_group(request.target)
        return ArmResponse(body=self._existing(request).body)

    async def delete(self, request: ArmRequest) -> ArmResponse:
        """200 with what was deleted, 204 if there was nothing. Its guest assignments go with it."""
        errors.refuse_management_group(request.target)
        async with self._store.unit() as unit:
            row = self._row(request.target)
            if row is None:
                return ArmResponse(204)
            self._evaluator.forget(unit, row)
            self.on_delete(unit, row)
            unit.delete("resources", mark_key(row.key))
            unit.delete("resources", row.key)
        return ArmResponse(body=row.body)

    async def list_all(self, request: ArmRequest) -> ArmResponse:
        """Assignments at, above and below the scope; ``atScope()`` leaves out those below."""
        errors.refuse_management_group(request.target)
        text = request.query.get("$filter", "")
        expression = filters.parse(text)
        filters.restrict(text, expression, _FIELDS, _CALLS)
        scope = request.target.scope.lower()
        rows = [
            row
            for row in self._library.assignments()
            if (within(scope, row.scope) or within(row.scope, scope))
            and filters.holds(expression, lambda leaf, one=row: _matches(one, leaf, scope))  # type: ignore[misc]
        ]
        return page(request, rows, lambda row: row.body)

    # -- for others ----------------------------------------------------------------------------------------

    def on_delete(self, unit: Unit, row: Row) -> None:
        """What goes with an assignment: its identity."""
        if principal := (row.document.get("identity") or {}).get("principalId"):
            self._context.directory.remove(unit, principal)

    @staticmethod
    def write(unit: Unit, document: Document) -> None:
        """Store an assignment's document."""
        key: str = document["id"].lower()
        unit.put("resources", key, document, kind=ASSIGNMENTS, scope=document["properties"]["scope"].lower())

    # -- parts of a write ----------------------------------------------------------------------------------

    def _row(self, target: ResourceId) -> Row | None:
        return self._library.assignment(target.key)

    def _existing(self, request: ArmRequest) -> Row:
        row = self._row(request.target)
        if row is None:
            raise errors.assignment_not_found(request.target.name)
        return row

    def _now(self) -> str:
        return times.iso7(self._context.plane.clock.now())

    def _properties(self, request: ArmRequest, body: Document, before: Row | None) -> Document:
        name, given = request.target.name, body.get("properties")
        if not isinstance(given, dict):
            raise invalid_content("'properties' is required")
        check_depth(given, "properties")
        _refuse_selectors(name, given)
        assigned = self._assigned(name, given, request.target.scope)
        found: Document = {text: _text(given, text) for text in _TEXTS if given.get(text) is not None}
        mode = given.get("enforcementMode") or "Default"
        if mode not in MODES:
            raise invalid_content(f"'properties.enforcementMode' must be one of {', '.join(MODES)}")
        declared = assigned["properties"].get("parameters") or {}
        check_given(name, assigned["name"], declared, given.get("parameters"))
        metadata = given.get("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            raise invalid_content("'properties.metadata' must be an object")
        old = before.document["properties"] if before is not None else None
        return {
            **found,
            "policyDefinitionId": assigned["id"],
            "scope": request.target.scope,
            "notScopes": _not_scopes(name, given, request.target.scope),
            "parameters": given.get("parameters") or {},
            "metadata": {**(metadata or {}), **stamps(request, self._now(), old and old["metadata"])},
            "enforcementMode": mode,
            "nonComplianceMessages": _messages(given.get("nonComplianceMessages")),
            "assignmentType": "Custom",
            "instanceId": old["instanceId"] if old else self._context.plane.ids.guid(),
        }

    def _assigned(self, name: str, given: Document, scope: str) -> Document:
        """The definition or initiative, at or above the scope."""
        wanted = given.get("policyDefinitionId")
        if not isinstance(wanted, str) or not wanted:
            raise invalid_content("'properties.policyDefinitionId' must be a string")
        initiative = "/policysetdefinitions/" in wanted.lower()
        found = self._library.initiative(wanted) if initiative else self._library.definition(wanted)
        if found is None:
            raise errors.definition_not_found(wanted.rsplit("/", 1)[-1], initiative=initiative)
        owner = found["id"].lower().partition("/providers/")[0]
        if owner and not within(scope.lower(), owner):
            raise errors.invalid_assignment(
                name,
                f"The policy definition '{found['id']}' is out of scope. Policy definitions should be "
                "specified only at or above the policy assignment scope.",
            )
        return found

    def _document(self, request: ArmRequest, properties: Document, before: Row | None) -> Document:
        old = before.document if before is not None else None
        return {
            "properties": properties,
            "id": old["id"] if old else str(request.target),
            "type": TYPE,
            "name": old["name"] if old else request.target.name,
            "systemData": system_data(request, self._now(), old.get("systemData") if old else None),
        }

    def _set_place(self, unit: Unit, document: Document, body: Document, before: Row | None) -> None:
        old = before.document if before is not None else {}
        location = body.get("location") or old.get("location")
        if location is not None:
            if not isinstance(location, str) or validation.normalised(location) not in NAMES:
                raise invalid_content(f"'location' must be a region, not '{location}'")
            document["location"] = validation.normalised(location)
        kind = _identity_type(document["name"], body.get("identity"))
        principal = (old.get("identity") or {}).get("principalId")
        if kind == "SystemAssigned":
            document["identity"] = (
                old["identity"] if principal else self._new_identity(unit, document["name"])
            )
        elif principal is not None:
            self._context.directory.remove(unit, principal)
            document.pop("identity", None)

    def _new_identity(self, unit: Unit, name: str) -> Document:
        made = self._context.directory.add_principal(unit, kind="ServicePrincipal", name=name)
        return {"type": "SystemAssigned", "principalId": made.object_id, "tenantId": made.tenant_id}

    def _check_identity(self, document: Document) -> None:
        """What deploys does so as the assignment's identity, which lives in a region."""
        effects = {self._evaluator.effect(member) for member in self._library.members(document)}
        if "deployifnotexists" not in effects:
            return
        name = document["name"]
        if not document.get("identity"):
            raise ArmError(
                400,
                "ResourceIdentityRequired",
                "Policy assignments must include a 'managed identity' when assigning 'DeployIfNotExists' "
                "policy definitions. Please see https://aka.ms/azurepolicyremediation for usage information.",
            )
        if not document.get("location"):
            raise ArmError(
                400,
                "LocationRequired",
                f"The location property is required for the policy assignment '{name}' with an identity.",
            )


def _refuse_selectors(name: str, given: Any) -> None:
    for member in _REFUSED:
        if isinstance(given, dict) and given.get(member):
            raise errors.invalid_assignment(name, f"'{member}' is not served.")


def _text(given: Document, name: str) -> str:
    if not isinstance(given[name], str):
        raise invalid_content(f"'properties.{name}' must be a string")
    return str(given[name])


def _not_scopes(name: str, given: Document, scope: str) -> list[str]:
    found = given.get("notScopes") or []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise invalid_content("'properties.notScopes' must be an array of strings")
    outside = [one for one in found if not within(one.lower(), scope.lower())]
    if outside:
        raise errors.invalid_assignment(name, f"The excluded scope '{outside[0]}' is not below its scope.")
    return found


def _messages(given: Any) -> list[Document]:
    if given is None:
        return []
    if not isinstance(given, list) or not all(
        isinstance(one, dict) and isinstance(one.get("message"), str) for one in given
    ):
        raise invalid_content("'properties.nonComplianceMessages' must be an array of objects with 'message'")
    return given


def _identity_type(name: str, given: Any) -> str:
    if given is None:
        return "None"
    kind = given.get("type") if isinstance(given, dict) else None
    if kind not in {"SystemAssigned", "None"}:
        raise errors.invalid_assignment(
            name, f"The identity type '{kind}' is not served; 'SystemAssigned' and 'None' are."
        )
    return str(kind)


def _matches(row: Row, leaf: filters.Comparison | filters.Call, scope: str) -> bool:
    if isinstance(leaf, filters.Comparison):
        return filters.compare("eq", row.document["properties"]["policyDefinitionId"], leaf.value)
    return within(scope, row.scope) if leaf.name == "atscope" else row.scope == scope
