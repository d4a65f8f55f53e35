"""What the assignment service knows of each machine: when it last pulled, and what it was given then.

Rows of the table ``pulls``, keyed by the vmId in lower case, scope the machine's key: ``generation``,
``lastPull`` (epoch seconds of the bed's clock; None before the first), ``issued`` (assignment name in lower
case -> itemGeneration that the machine was given), ``gone`` (name -> the last itemGeneration of an assignment
that is no more; numbers are never given twice), ``buried`` (name -> tombstone of an assignment that ARM lost
because the machine was silent for too long: ``name``, ``at``, ``policyAssignmentId``).
"""

from __future__ import annotations

from arcbed_cloud.store.contract import Document, Row, Store, Unit, latest

TABLE = "pulls"
NEW: Document = {"generation": 0, "lastPull": None, "issued": {}, "gone": {}, "buried": {}}


class Contacts:
    """Reads and writes those rows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, machine: Row, unit: Unit | None = None) -> Document:
        """A copy of what is known of a machine, as `unit` leaves it."""
        row = latest(self._store, unit, TABLE, _key(machine))
        return {**NEW, **(row.document if row is not None else {})}

    def keep(self, unit: Unit, machine: Row, document: Document) -> None:
        """Write it."""
        unit.put(TABLE, _key(machine), document, scope=machine.key)

    def bury(self, unit: Unit, machine: Row, name: str, *, at: str, policy_assignment_id: str | None) -> None:
        """Put up a tombstone for an assignment that the machine was silent for too long to keep."""
        document = self.of(machine, unit)
        stone = {"name": name, "at": at, "policyAssignmentId": policy_assignment_id}
        document["buried"] = {**document["buried"], name.lower(): stone}
        self.keep(unit, machine, document)

    def changed(
        self, unit: Unit, machine: Row, *, put: str | None = None, gone: tuple[str, int] | None = None
    ) -> None:
        """ARM changed what the machine is to have: its next pull is answered in full.

        Args:
            unit: the change's.
            machine: whose assignments changed.
            put: name of an assignment that was put; its tombstone goes.
            gone: name and itemGeneration of an assignment that was removed.
        """
        document = self.of(machine, unit)
        document["generation"] += 1
        if put is not None:
            buried = {name: stone for name, stone in document["buried"].items() if name != put.lower()}
            document["buried"] = buried
        if gone is not None:
            document["gone"] = {**document["gone"], gone[0].lower(): gone[1]}
        self.keep(unit, machine, document)


def _key(machine: Row) -> str:
    return str(machine.document["properties"]["vmId"]).lower()
