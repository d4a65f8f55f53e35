"""What policy last found out: one state for each assignment, definition and resource.

Rows of the table ``resources`` of kind `KIND`, scope and key below the resource, so that they go with it.
Besides what queries show a row has ``guestAssignment`` (name of the guest assignment that belongs to it),
``made`` (policy itself made that one), ``contacted`` (policy has had its first look and will not make it a
second time), ``deployDue`` (a deployment waits for the first audit) and ``history`` (earlier states).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from arcbed_cloud.arm import times
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.policy.library import Member
from arcbed_cloud.store.contract import Document, Row, Unit

KIND = "policystates"
COMPLIANT = "Compliant"
NON_COMPLIANT = "NonCompliant"
ERROR = "Error"
EXEMPT = "Exempt"
_HISTORY = 50


class States:
    """Reads and writes states."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._store = plane.store

    def all(self) -> Sequence[Row]:
        """Every state of the bed."""
        return self._store.rows("resources", kind=KIND)

    def on(self, resource_key: str) -> Sequence[Row]:
        """The states of one resource (its id in lower case)."""
        return self._store.rows("resources", kind=KIND, scope=resource_key)

    def of(self, assignment_key: str) -> list[Row]:
        """The states that one policy assignment has made."""
        return [
            row for row in self.all() if row.document["policyAssignmentId"].lower() == assignment_key.lower()
        ]

    def get(self, resource_key: str, member: Member) -> Document | None:
        """The state of a resource under one definition of one assignment."""
        row = self._store.get("resources", key_of(resource_key, member))
        return row.document if row is not None else None

    def write(self, unit: Unit, resource: Row, member: Member, found: Document) -> None:
        """Keep what an evaluation found.

        Args:
            unit: where it is written.
            resource: what was evaluated.
            member: the definition and its assignment.
            found: ``complianceState``, ``effect``, and the members that the module's text names.
        """
        now = times.iso7(self._plane.clock.now())
        before = self.get(resource.key, member)
        history: list[Document] = list(before["history"]) if before else []
        if before is None or before["complianceState"] != found["complianceState"]:
            history.append({"timestamp": now, "complianceState": found["complianceState"]})
        document = {
            "resourceId": resource.document["id"],
            "policyAssignmentId": member.assignment["id"],
            "policyDefinitionId": member.definition["id"],
            "policyDefinitionReferenceId": member.reference,
            "policySetDefinitionId": member.initiative["id"] if member.initiative else "",
            "parameters": member.parameters,
            **found,
            "timestamp": now,
            "history": history[-_HISTORY:],
        }
        unit.put("resources", key_of(resource.key, member), document, kind=KIND, scope=resource.key.lower())

    def delete(self, unit: Unit, resource_key: str, member: Member) -> None:
        """Forget a state; a missing one is fine."""
        key = key_of(resource_key, member)
        if self._store.get("resources", key) is not None:
            unit.delete("resources", key)


def key_of(resource_key: str, member: Member) -> str:
    """The key of a state."""
    named = f"{member.assignment['id']}|{member.definition['id']}|{member.reference}".lower()
    digest = hashlib.sha256(named.encode()).hexdigest()[:24]
    return f"{resource_key}/providers/microsoft.policyinsights/policystates/{digest}"
