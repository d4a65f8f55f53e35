"""The embedded store: one SQLite file in WAL mode, one writer, rows mirrored in memory.

Units that finish in the same turn of the event loop share one commit. With ``synchronous=NORMAL`` a commit is
in the kernel's hands before it is acknowledged, so it survives the death of the process;
``durability="full"`` adds an fsync for the loss of power.
"""

from __future__ import annotations

import asyncio
import bisect
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Literal

import orjson

from arcbed_cloud.store.contract import Change, Document, Row

TABLES = ("resources", "heartbeats", "identities", "principals", "grants", "operations", "meta")
JOURNALS = ("activity", "his_log")
FEED_ROWS = 10_000


class _Mirror:
    """The rows of one table in memory, with sorted key lists per kind and per (kind, scope)."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self._keys: dict[tuple[str | None, str | None], list[str]] = defaultdict(list)

    @staticmethod
    def _buckets(row: Row) -> Iterator[tuple[str | None, str | None]]:
        yield (None, None)
        yield (row.kind, None)
        yield (None, row.scope)
        yield (row.kind, row.scope)

    def put(self, row: Row) -> Row | None:
        before = self.rows.get(row.key)
        if before is not None and (before.kind, before.scope) != (row.kind, row.scope):
            self.delete(before.key)
        elif before is not None:
            self.rows[row.key] = row
            return before
        self.rows[row.key] = row
        for bucket in self._buckets(row):
            bisect.insort(self._keys[bucket], row.key)
        return before

    def delete(self, key: str) -> Row | None:
        row = self.rows.pop(key, None)
        if row is None:
            return None
        for bucket in self._buckets(row):
            keys = self._keys[bucket]
            del keys[bisect.bisect_left(keys, key)]
            if not keys:
                del self._keys[bucket]
        return row

    def select(self, kind: str | None, scope: str | None) -> list[Row]:
        rows = self.rows
        return [rows[key] for key in self._keys.get((kind, scope), ())]


class SqliteUnit:
    """Collects writes; see `Unit`."""

    def __init__(self) -> None:
        self._changes: list[Change] = []

    def put(self, table: str, key: str, document: Document, *, kind: str = "", scope: str = "") -> None:
        """Insert or replace a row."""
        self._changes.append(Change(table, key, Row(key, kind, scope, orjson.dumps(document))))

    def delete(self, table: str, key: str) -> None:
        """Delete a row; a missing one is fine."""
        self._changes.append(Change(table, key, None))

    def append(self, table: str, document: Document, *, kind: str = "", scope: str = "") -> None:
        """Add to a journal table."""
        self._changes.append(Change(table, "", Row("", kind, scope, orjson.dumps(document))))

    @property
    def changes(self) -> Sequence[Change]:
        """What this unit wrote."""
        return self._changes


class SqliteStore:
    """State in `path` (or in memory).

    Args:
        durability: ``process`` survives ``kill -9``; ``full`` also the loss of power, at an fsync a commit.
        shared: look for writes of other processes before each read.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        durability: Literal["process", "full"] = "process",
        shared: bool = False,
    ) -> None:
        self.path = path
        self._shared = shared
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={'FULL' if durability == 'full' else 'NORMAL'}")
        self._db.execute("PRAGMA busy_timeout=5000")
        self._db.execute("PRAGMA wal_autocheckpoint=4000")
        self._db.executescript((files("arcbed_cloud.store") / "schema.sql").read_text())
        self._listeners: list[Callable[[Sequence[Change]], None]] = []
        self._pending: list[tuple[SqliteUnit, list[tuple[Change, Row | None]], asyncio.Future[None]]] = []
        self._trims: dict[str, int] = {}
        self._mirrors: dict[str, _Mirror] = {}
        self._seen = 0
        self._data_version = 0
        self._load()

    @property
    def tables(self) -> Iterable[str]:
        """Names of all tables."""
        return (*TABLES, *JOURNALS)

    # -- reading -------------------------------------------------------------------------------------------

    def get(self, table: str, key: str) -> Row | None:
        """One row, or None."""
        if self._shared:
            self._catch_up()
        return self._mirrors[table].rows.get(key)

    def rows(self, table: str, *, kind: str | None = None, scope: str | None = None) -> Sequence[Row]:
        """Rows sorted by key."""
        if self._shared:
            self._catch_up()
        return self._mirrors[table].select(kind, scope)

    def tail(self, table: str, *, scope: str | None = None, limit: int = 1000) -> list[Row]:
        """The newest journal rows, oldest first."""
        where, values = ("WHERE scope = ?", [scope]) if scope is not None else ("", [])
        cursor = self._db.execute(
            f"SELECT key, kind, scope, body FROM {table} {where} ORDER BY key DESC LIMIT ?",  # noqa: S608
            [*values, limit],
        )
        return [Row(str(key), kind, row_scope, body) for key, kind, row_scope, body in cursor][::-1]

    # -- writing -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[SqliteUnit]:
        """A unit of work, durable when the block has been left."""
        unit = SqliteUnit()
        yield unit
        if not unit.changes:
            return
        undo = [(change, self._apply(change)) for change in unit.changes]
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if not self._pending:
            loop.call_soon(self._flush)
        self._pending.append((unit, undo, done))
        for listener in self._listeners:
            listener(unit.changes)
        await done

    def subscribe(self, listener: Callable[[Sequence[Change]], None]) -> None:
        """Call `listener` with the changes of every unit."""
        self._listeners.append(listener)

    def trim(self, table: str, keep: int) -> None:
        """Keep only the newest `keep` rows of a journal."""
        self._trims[table] = keep

    def _apply(self, change: Change) -> Row | None:
        if change.table in JOURNALS:
            return None
        mirror = self._mirrors[change.table]
        return mirror.delete(change.key) if change.row is None else mirror.put(change.row)

    def _flush(self) -> None:
        batch, self._pending = self._pending, []
        try:
            self._commit([change for unit, _, _ in batch for change in unit.changes])
        except sqlite3.Error as error:
            self._undo([entry for _, undo, _ in batch for entry in undo])
            for _, _, done in batch:
                if not done.done():
                    done.set_exception(error)
            return
        for _, _, done in batch:
            if not done.done():
                done.set_result(None)

    def _commit(self, changes: Sequence[Change]) -> None:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            for change in changes:
                self._write(change)
            for table, keep in self._trims.items():
                db.execute(
                    f"DELETE FROM {table} WHERE key <= (SELECT max(key) FROM {table}) - ?",  # noqa: S608
                    [keep],
                )
            self._trims.clear()
            db.execute("COMMIT")
        except sqlite3.Error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _write(self, change: Change) -> None:
        table, row = change.table, change.row
        if table in JOURNALS:
            if row is not None:
                self._db.execute(
                    f"INSERT INTO {table} (kind, scope, body) VALUES (?, ?, ?)",  # noqa: S608
                    (row.kind, row.scope, row.body),
                )
            return
        if row is None:
            self._db.execute(f"DELETE FROM {table} WHERE key = ?", (change.key,))  # noqa: S608
        else:
            self._db.execute(
                f"INSERT INTO {table} (key, kind, scope, body) VALUES (?, ?, ?, ?) "  # noqa: S608
                "ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, scope = excluded.scope, body = "
                "excluded.body",
                (row.key, row.kind, row.scope, row.body),
            )
        if self._shared:
            self._db.execute("INSERT INTO changes (tbl, key) VALUES (?, ?)", (table, change.key))
            self._seen = self._db.execute("SELECT max(seq) FROM changes").fetchone()[0]

    def _undo(self, undo: Sequence[tuple[Change, Row | None]]) -> None:
        for change, before in reversed(undo):
            if change.table in JOURNALS:
                continue
            mirror = self._mirrors[change.table]
            if before is None:
                mirror.delete(change.key)
            else:
                mirror.put(before)
        for listener in self._listeners:
            listener([Change(change.table, change.key, before) for change, before in reversed(undo)])

    # -- other processes -----------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        version = self._db.execute("PRAGMA data_version").fetchone()[0]
        if version == self._data_version:
            return
        self._data_version = version
        found: list[Change] = []
        cursor = self._db.execute(
            "SELECT seq, tbl, key FROM changes WHERE seq > ? ORDER BY seq", (self._seen,)
        )
        for seq, table, key in cursor.fetchall():
            self._seen = seq
            hit = self._db.execute(
                f"SELECT key, kind, scope, body FROM {table} WHERE key = ?",  # noqa: S608
                (key,),
            ).fetchone()
            change = Change(table, key, Row(*hit) if hit else None)
            self._apply(change)
            found.append(change)
        self._db.execute("DELETE FROM changes WHERE seq <= ?", (self._seen - FEED_ROWS,))
        if found:
            for listener in self._listeners:
                listener(found)

    # -- the whole state -----------------------------------------------------------------------------------

    def reset(self) -> None:
        """Delete every row of every table."""
        before = self._all()
        self._db.execute("BEGIN IMMEDIATE")
        for table in self.tables:
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608
        self._db.execute("COMMIT")
        self._load()
        for listener in self._listeners:
            listener([Change(change.table, change.key, None) for change in before])

    def snapshot(self, target: Path) -> None:
        """Write a consistent copy."""
        with sqlite3.connect(target) as copy:
            self._db.backup(copy)
        copy.close()

    def restore(self, source: Path) -> None:
        """Replace the whole state by a snapshot."""
        before = self._all()
        with sqlite3.connect(source) as copy:
            copy.backup(self._db)
        copy.close()
        self._load()
        gone = [Change(change.table, change.key, None) for change in before]
        for listener in self._listeners:
            listener([*gone, *self._all()])

    def close(self) -> None:
        """Finish what is pending and close the file."""
        if self._pending:
            self._flush()
        self._db.close()

    def _all(self) -> list[Change]:
        return [
            Change(table, row.key, row)
            for table, mirror in self._mirrors.items()
            for row in mirror.rows.values()
        ]

    def _load(self) -> None:
        self._mirrors = {table: _Mirror() for table in TABLES}
        for table, mirror in self._mirrors.items():
            for row in self._db.execute(f"SELECT key, kind, scope, body FROM {table}"):  # noqa: S608
                mirror.put(Row(*row))
        self._seen = self._db.execute("SELECT coalesce(max(seq), 0) FROM changes").fetchone()[0]
        self._data_version = self._db.execute("PRAGMA data_version").fetchone()[0]
