"""Definitions and initiatives, built-in and custom, and what an assignment of them comes down to.

Custom ones are rows of the table ``resources`` (kinds `DEFINITIONS` and `SETS`, scope: the subscription),
in the shape that ARM answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arcbed_cloud.arm.ids import parse
from arcbed_cloud.providers.policy import catalogue
from arcbed_cloud.providers.policy.expressions import ExpressionError, evaluate
from arcbed_cloud.providers.policy.functions import PLAIN
from arcbed_cloud.providers.policy.parameters import effective
from arcbed_cloud.store.contract import Document, Row, Store

DEFINITIONS = catalogue.DEFINITIONS.lower()
SETS = catalogue.SETS.lower()
ASSIGNMENTS = "microsoft.authorization/policyassignments"
EXEMPTIONS = "microsoft.authorization/policyexemptions"


@dataclass(frozen=True, slots=True)
class Member:
    """One definition as one assignment applies it.

    `reference` is the ``policyDefinitionReferenceId`` of an initiative's member, empty for a definition
    that is assigned by itself. `parameters` are effective values by declared name.
    """

    assignment: Document
    definition: Document
    parameters: Document
    reference: str = ""
    initiative: Document | None = None

    @property
    def rule(self) -> Document:
        """``if`` and ``then``."""
        rule: Document = self.definition["properties"]["policyRule"]
        return rule

    @property
    def metadata(self) -> Document:
        """The definition's ``metadata``."""
        return self.definition["properties"].get("metadata") or {}


class Library:
    """Reads definitions, initiatives and assignments."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def definition(self, definition_id: str) -> Document | None:
        """The definition of this id (any case), built-in or custom."""
        return self._find(definition_id, DEFINITIONS, catalogue.definitions())

    def initiative(self, definition_id: str) -> Document | None:
        """The initiative of this id (any case), built-in or custom."""
        return self._find(definition_id, SETS, catalogue.initiatives())

    def assignments(self) -> Sequence[Row]:
        """Every policy assignment of the bed."""
        return self._store.rows("resources", kind=ASSIGNMENTS)

    def assignment(self, assignment_id: str) -> Row | None:
        """The assignment of this id, in any case."""
        row = self._store.get("resources", assignment_id.lower())
        return row if row is not None and row.kind == ASSIGNMENTS else None

    def covering(self, machine_key: str) -> list[Row]:
        """The assignments whose scope holds a machine (its id in lower case), less their ``notScopes``."""
        return [row for row in self.assignments() if covers(row.document, machine_key)]

    def exempt(self, resource_key: str, member: Member, now: str) -> bool:
        """Does an exemption take a resource (its id in lower case) out of a definition's reach at `now`?"""
        for row in self._store.rows("resources", kind=EXEMPTIONS):
            properties = row.document["properties"]
            references = [name.lower() for name in properties["policyDefinitionReferenceIds"]]
            if (
                properties["policyAssignmentId"].lower() == member.assignment["id"].lower()
                and _below(resource_key, row.scope)
                and (not references or member.reference.lower() in references)
                and not ("expiresOn" in properties and properties["expiresOn"] <= now)
            ):
                return True
        return False

    def members(self, assignment: Document) -> Iterator[Member]:
        """What an assignment applies; a definition that has gone meanwhile is left out."""
        definition_id = assignment["properties"]["policyDefinitionId"]
        given = assignment["properties"].get("parameters")
        definition = self.definition(definition_id)
        if definition is not None:
            yield Member(assignment, definition, effective(definition["properties"].get("parameters"), given))
            return
        initiative = self.initiative(definition_id)
        if initiative is not None:
            yield from self._members(assignment, initiative, given)

    def _members(self, assignment: Document, initiative: Document, given: Any) -> Iterator[Member]:
        properties = initiative["properties"]
        outer = effective(properties.get("parameters"), given)
        for entry in properties["policyDefinitions"]:
            definition = self.definition(entry["policyDefinitionId"])
            if definition is None:
                continue
            passed = evaluate(entry.get("parameters") or {}, {**PLAIN, "parameters": reader(outer)})
            inner = effective(definition["properties"].get("parameters"), passed)
            yield Member(assignment, definition, inner, entry["policyDefinitionReferenceId"], initiative)

    def _find(self, wanted: str, kind: str, builtin: Mapping[str, Document]) -> Document | None:
        target = parse(wanted)
        if target.type.lower() != kind or not target.is_item:
            return None
        if not target.scope:
            return builtin.get(target.name.lower())
        row = self._store.get("resources", target.key)
        return row.document if row is not None and row.kind == kind else None


def reader(values: Mapping[str, Any]) -> Any:
    """The function ``parameters('name')`` over values; names ignore case."""
    lowered = {name.lower(): value for name, value in values.items()}

    def parameters(name: str) -> Any:
        if name.lower() not in lowered:
            raise ExpressionError(f"The parameter '{name}' has no value.")
        return lowered[name.lower()]

    return parameters


def covers(assignment: Document, key: str) -> bool:
    """Is the resource (id in lower case) in the scope of an assignment, and in none of its ``notScopes``?"""
    properties = assignment["properties"]
    inside = _below(key, properties["scope"])
    return inside and not any(_below(key, scope) for scope in properties.get("notScopes") or ())


def _below(key: str, scope: str) -> bool:
    scope = scope.lower().rstrip("/")
    return key == scope or key.startswith(f"{scope}/")
