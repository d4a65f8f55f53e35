"""Policy definitions and initiatives (PolicyDefinitions_*, PolicySetDefinitions_*)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from arcbed_cloud.arm import filters, times
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError, invalid_content
from arcbed_cloud.arm.ids import parse
from arcbed_cloud.arm.paging import page_of
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.providers.policy import catalogue, errors
from arcbed_cloud.providers.policy.bodies import definition_properties, initiative_properties
from arcbed_cloud.providers.policy.library import DEFINITIONS, SETS, Library
from arcbed_cloud.store.contract import Document, Row

_FILTERS = {"policytype": "eq", "category": "eq"}


class Definitions:
    """The handlers of one of the two types.

    Args:
        context: what ARM lends to providers.
        library: finds definitions and assignments.
        initiative: serve policySetDefinitions instead of policyDefinitions.
    """

    def __init__(self, context: ProviderContext, library: Library, *, initiative: bool) -> None:
        self._context = context
        self._store = context.plane.store
        self._library = library
        self._initiative = initiative
        self._kind = SETS if initiative else DEFINITIONS
        self._type = catalogue.SETS if initiative else catalogue.DEFINITIONS
        self._builtin: Mapping[str, Document] = (
            catalogue.initiatives() if initiative else catalogue.definitions()
        )

    async def put(self, request: ArmRequest) -> ArmResponse:
        """201; an update of a definition answers 201 too, one of an initiative 200."""
        self._check_scope(request)
        properties = self._properties(request)
        async with self._store.unit() as unit:
            before = self._row(request)
            document = self._document(request, properties, before)
            unit.put(
                "resources",
                request.target.key,
                document,
                kind=self._kind,
                scope=request.target.scope.lower(),
            )
        status = 200 if before is not None and self._initiative else 201
        return ArmResponse(status, document)

    async def get(self, request: ArmRequest) -> ArmResponse:
        """One, in the subscription or (without a scope) a built-in one, which anybody may read."""
        errors.refuse_management_group(request.target)
        if not request.target.scope:
            builtin = self._builtin.get(request.target.name.lower())
            if builtin is not None:
                return ArmResponse(200, builtin)
        self._context.access.check(request.caller, f"{self._type}/read", str(request.target))
        row = self._row(request)
        if row is None:
            raise errors.definition_not_found(request.target.name, initiative=self._initiative)
        return ArmResponse(body=row.body)

    async def delete(self, request: ArmRequest) -> ArmResponse:
        """200, or 204 if there was none; refused while something uses it."""
        self._check_scope(request)
        async with self._store.unit() as unit:
            row = self._row(request)
            if row is None:
                return ArmResponse(204)
            if users := self._users(row.key):
                raise errors.in_use(row.document["name"], users, initiative=self._initiative)
            unit.delete("resources", row.key)
        return ArmResponse(200)

    async def list_all(self, request: ArmRequest) -> ArmResponse:
        """Built-in ones and, in a subscription, its own; ``$filter`` by policyType and category."""
        errors.refuse_management_group(request.target)
        text = request.query.get("$filter", "")
        expression = filters.parse(text)
        filters.restrict(text, expression, _FILTERS, {"atexactscope"})
        found = {document["id"].lower(): document for document in self._builtin.values()}
        if request.target.subscription is not None:
            rows = self._store.rows("resources", kind=self._kind, scope=request.target.scope.lower())
            found |= {row.key: row.document for row in rows}
        shown = [
            found[key]
            for key in sorted(found)
            if filters.holds(expression, lambda leaf, one=found[key]: _matches(one, leaf))  # type: ignore[misc]
        ]
        return page_of(request, shown, orjson.dumps, key=lambda document: document["id"].lower())

    # -- parts ---------------------------------------------------------------------------------------------

    def _check_scope(self, request: ArmRequest) -> None:
        target = request.target
        errors.refuse_management_group(target)
        if target.subscription is None or target.scope.count("/") != 2:
            raise ArmError(
                400,
                "InvalidScope" if target.scope else "BuiltInPolicyDefinitionReadOnly",
                f"'{self._type}' is written in subscriptions, not at scope '{target.scope or '/'}'.",
            )

    def _row(self, request: ArmRequest) -> Row | None:
        row = self._store.get("resources", request.target.key)
        return row if row is not None and row.kind == self._kind else None

    def _properties(self, request: ArmRequest) -> Document:
        body = request.json().get("properties")
        if not isinstance(body, dict):
            raise invalid_content("'properties' is required")
        name = request.target.name
        if self._initiative:
            return initiative_properties(name, body, self._library, request.target.subscription or "")
        return definition_properties(name, body)

    def _document(self, request: ArmRequest, properties: Document, before: Row | None) -> Document:
        now = times.iso7(self._context.plane.clock.now())
        old = before.document if before is not None else None
        metadata = dict(properties.get("metadata") or {})
        metadata |= stamps(request, now, old["properties"]["metadata"] if old else None)
        return {
            "properties": {**properties, "metadata": metadata},
            "id": old["id"] if old else str(request.target),
            "type": self._type,
            "name": old["name"] if old else request.target.name,
            "systemData": system_data(request, now, old.get("systemData") if old else None),
        }

    def _users(self, key: str) -> list[str]:
        """Ids of assignments of it, and of initiatives that it is a member of."""
        found = [
            row.document["id"]
            for row in self._library.assignments()
            if row.document["properties"]["policyDefinitionId"].lower() == key
        ]
        if not self._initiative:
            for row in self._store.rows("resources", kind=SETS):
                members = row.document["properties"]["policyDefinitions"]
                if any(parse(member["policyDefinitionId"]).key == key for member in members):
                    found.append(row.document["id"])
        return found


def stamps(request: ArmRequest, now: str, before: Document | None) -> Document:
    """Who made it and who changed it when, as ``metadata`` of policy objects carries them."""
    if before is None:
        return {
            "createdBy": request.caller.object_id,
            "createdOn": now,
            "updatedBy": None,
            "updatedOn": None,
        }
    kept = {name: before.get(name) for name in ("createdBy", "createdOn")}
    return {**kept, "updatedBy": request.caller.object_id, "updatedOn": now}


def system_data(request: ArmRequest, now: str, before: Document | None) -> Document:
    """``systemData`` of a policy object."""
    author = request.caller.kind if request.caller.kind in {"User", "ManagedIdentity"} else "Application"
    last = {
        "lastModifiedBy": request.caller.name,
        "lastModifiedByType": author,
        "lastModifiedAt": now,
    }
    if before is not None:
        return {**before, **last}
    return {"createdBy": request.caller.name, "createdByType": author, "createdAt": now, **last}


def _matches(document: Document, leaf: filters.Comparison | filters.Call) -> bool:
    properties = document["properties"]
    if isinstance(leaf, filters.Call):
        return bool(properties["policyType"] != "BuiltIn")
    value: Any = (
        properties["policyType"]
        if leaf.field == "policytype"
        else (properties.get("metadata") or {}).get("category")
    )
    return isinstance(value, str) and filters.compare("eq", value, leaf.value)
