"""What the control plane asks of its state, whichever database holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

Document = dict[str, Any]


@dataclass(slots=True)
class Row:
    """One stored document.

    `key` is unique in its table (ARM ids: lower case), `kind` and `scope` are the columns lists go by.
    `document` is parsed once and shared: treat it as read-only and write a changed copy through a unit.
    """

    key: str
    kind: str
    scope: str
    body: bytes
    rendered: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    _document: Document | None = field(default=None, repr=False, compare=False)

    @property
    def document(self) -> Document:
        """The parsed body."""
        if self._document is None:
            self._document = orjson.loads(self.body)
        return self._document


@dataclass(frozen=True, slots=True)
class Change:
    """One row that a unit wrote or deleted (`row` is None)."""

    table: str
    key: str
    row: Row | None


class SnapshotError(ValueError):
    """A file that cannot be restored from."""


class Unit(Protocol):
    """Writes that become durable together. No await belongs between reading and writing inside one."""

    def put(self, table: str, key: str, document: Document, *, kind: str = "", scope: str = "") -> None:
        """Insert or replace a row."""

    def delete(self, table: str, key: str) -> None:
        """Delete a row; a missing one is fine."""

    def append(self, table: str, document: Document, *, kind: str = "", scope: str = "") -> None:
        """Add to a journal table, whose keys ascend by themselves."""

    @property
    def changes(self) -> Sequence[Change]:
        """What this unit wrote, in order; complete once the unit has been left."""


class Store(Protocol):
    """Rows in named tables. Leaving `unit()` without an error means that its writes survive ``kill -9``."""

    def get(self, table: str, key: str) -> Row | None:
        """One row, or None."""

    def rows(self, table: str, *, kind: str | None = None, scope: str | None = None) -> Sequence[Row]:
        """All rows of a table, of a kind, or of a kind within a scope, sorted by key."""

    def tail(self, table: str, *, scope: str | None = None, limit: int = 1000) -> list[Row]:
        """The newest rows of a journal table, oldest first."""

    def unit(self) -> AbstractAsyncContextManager[Unit]:
        """A unit of work; an exception inside it writes nothing."""

    def together(self) -> AbstractAsyncContextManager[Unit]:
        """A unit for what belongs to the other units that the current task leaves inside the block.

        Those are in memory at once, as ever, but durable only when the block has been left. So a request's
        units share one commit; what must not be said before it belongs behind the block.
        """

    def subscribe(self, listener: Callable[[Sequence[Change]], None]) -> None:
        """Call `listener` with what every unit did to rows, also those of another process. Caches hang here.

        Of journals nothing is told.
        """

    def trim(self, table: str, keep: int) -> None:
        """Forget all but the newest `keep` rows of a journal table, with the next commit."""

    def reset(self) -> None:
        """Delete every row of every table."""

    def snapshot(self, target: Path) -> None:
        """Write a consistent copy of the whole state."""

    def restore(self, source: Path) -> None:
        """Replace the whole state by a snapshot; `SnapshotError` if it is none."""

    def close(self) -> None:
        """Finish what is pending and let go of the file."""

    @property
    def tables(self) -> Iterable[str]:
        """Names of all tables: what reset, snapshot and restore cover."""


def latest(store: Store, unit: Unit | None, table: str, key: str) -> Row | None:
    """A row as `unit` leaves it; the store shows a unit's writes only once it is over."""
    if unit is not None:
        for change in reversed(unit.changes):
            if change.table == table and change.key == key:
                return change.row
    return store.get(table, key)
