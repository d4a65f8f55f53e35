"""What the extension service knows of each machine: which goal state it has been given, and its numbers.

Rows of the table ``goals``, keyed by the machine's key, kind ``extensions``, scope the machine's key:
``generation`` (one more with each change of the goal state), ``pulled`` (the newest generation that the
machine was given), ``reportSeq`` (of its newest report) and ``sequences`` (name in lower case -> the last
sequence number of something that is no more; numbers are never given twice).
"""

from __future__ import annotations

from arcbed_cloud.store.contract import Document, Store, Unit, latest

TABLE = "goals"
KIND = "extensions"
NEW: Document = {"generation": 0, "pulled": 0, "reportSeq": 0, "sequences": {}}


class Goals:
    """Reads and writes those rows."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, machine_key: str, unit: Unit | None = None) -> Document:
        """A copy of what is known of a machine, as `unit` leaves it."""
        row = latest(self._store, unit, TABLE, machine_key)
        return {**NEW, **(row.document if row is not None else {})}

    def keep(self, unit: Unit, machine_key: str, document: Document) -> None:
        """Write it."""
        unit.put(TABLE, machine_key, document, kind=KIND, scope=machine_key)

    def changed(self, unit: Unit, machine_key: str, *, gone: tuple[str, int] | None = None) -> int:
        """The goal state changed; answers its new generation.

        Args:
            unit: the change's.
            machine_key: whose goal state.
            gone: name and last sequence number of something that was removed.
        """
        document = self.of(machine_key, unit)
        document["generation"] += 1
        if gone is not None:
            document["sequences"] = {**document["sequences"], gone[0].lower(): gone[1]}
        self.keep(unit, machine_key, document)
        return int(document["generation"])

    def first_number(self, machine_key: str, name: str) -> int:
        """The first sequence number of something new with this name: 0, or one more than was ever used."""
        return int(self.of(machine_key)["sequences"].get(name.lower(), -1)) + 1
