"""The embedded store: one SQLite file in WAL mode, one writer, rows mirrored in memory.

Units that finish in the same turn of the event loop share one commit, and within it each row is written once,
as the last of them left it. With ``synchronous=NORMAL`` a commit is
in the kernel's hands before it is acknowledged, so it survives the death of the process;
``durability="full"`` adds an fsync for the loss of power.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from arcbed_cloud.store.contract import Change, Row
from arcbed_cloud.store.mirror import Mirror
from arcbed_cloud.store.snapshots import opened
from arcbed_cloud.store.units import SqliteUnit, Together, Work

TABLES = (
    "resources",
    "heartbeats",
    "identities",
    "principals",
    "grants",
    "operations",
    "meta",
    "pulls",
    "reports",
    "goals",
)
JOURNALS = ("activity", "his_log")
# What every state has had since the first version; the others are made when a state is opened.
_FIRST_TABLES = ("resources", "heartbeats", "identities", "principals", "grants", "operations", "meta")
_APPEND = {table: f"INSERT INTO {table} (kind, scope, body) VALUES (?, ?, ?)" for table in JOURNALS}  # noqa: S608
_DELETE = {table: f"DELETE FROM {table} WHERE key = ?" for table in TABLES}  # noqa: S608
_PUT = {
    table: f"INSERT INTO {table} (key, kind, scope, body) VALUES (?, ?, ?, ?) ON CONFLICT (key) "  # noqa: S608
    "DO UPDATE SET kind = excluded.kind, scope = excluded.scope, body = excluded.body"
    for table in TABLES
}
FEED_ROWS = 10_000
# An entry of the feed that stands for a whole new state.
EVERYTHING = "*"


class SqliteStore:
    """State in `path` (or in memory).

    Args:
        durability: ``process`` survives ``kill -9``; ``full`` also the loss of power, at an fsync a commit.
        shared: look for writes of other processes before each read.

    Attributes:
        waiting: of each task in a `together` block, what its units wait for.
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
        self._make_tables()
        self._listeners: list[Callable[[Sequence[Change]], None]] = []
        self._pending: list[tuple[SqliteUnit, list[tuple[Change, Row | None]], asyncio.Future[None]]] = []
        self.waiting: dict[asyncio.Task[Any], list[asyncio.Future[None]]] = {}
        self._trims: dict[str, int] = {}
        self._mirrors: dict[str, Mirror] = {}
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

    def unit(self) -> AbstractAsyncContextManager[SqliteUnit]:
        """A unit of work, durable when the block has been left."""
        return Work(self)

    def together(self) -> AbstractAsyncContextManager[SqliteUnit]:
        """A unit; the task's other units inside its block are waited for at its end, not each at its own."""
        return Together(self)

    def take(self, unit: SqliteUnit) -> asyncio.Future[None] | None:
        """Apply a finished unit in memory and queue it; what to wait for, unless `together` does."""
        undo = [(change, self._apply(change)) for change in unit.changes]
        loop = asyncio.get_running_loop()
        task = asyncio.current_task() if self.waiting else None
        waiting = self.waiting.get(task) if task is not None else None
        if waiting and not waiting[-1].done():
            done = waiting[-1]  # not done: of the commit that is still to come, so it serves this unit too
        else:
            done = loop.create_future()
            if waiting is not None:
                waiting.append(done)
        if not self._pending:
            loop.call_soon(self._flush)
        self._pending.append((unit, undo, done))
        if told := [change for change in unit.changes if change.table not in JOURNALS]:
            self._tell(told)
        return done if waiting is None else None

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
        if not batch:
            return
        try:
            self._commit([change for unit, _, _ in batch for change in unit.changes])
        except Exception as error:  # noqa: BLE001 - whatever it is, no unit of the batch was written
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
            if self._shared:
                self._meet_others(changes)
            self._write(changes)
            if self._shared:
                self._after_own_changes()
            for table, keep in self._trims.items():
                db.execute(
                    f"DELETE FROM {table} WHERE key <= (SELECT max(key) FROM {table}) - ?",  # noqa: S608
                    [keep],
                )
            self._trims.clear()
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _write(self, changes: Sequence[Change]) -> None:
        """Each table's rows in one statement: what costs is the statements, not the rows."""
        added: dict[str, list[tuple[str, str, bytes]]] = {}
        put: dict[str, dict[str, Row | None]] = {}
        for change in changes:
            table, row = change.table, change.row
            if table not in JOURNALS:
                put.setdefault(table, {})[change.key] = row
            elif row is not None:
                added.setdefault(table, []).append((row.kind, row.scope, row.body))
        for table, entries in added.items():
            self._db.executemany(_APPEND[table], entries)
        for table, rows in put.items():
            self._db.executemany(
                _PUT[table], [(row.key, row.kind, row.scope, row.body) for row in rows.values() if row]
            )
            if gone := [(key,) for key, row in rows.items() if row is None]:
                self._db.executemany(_DELETE[table], gone)
            if self._shared:
                self._db.executemany(
                    "INSERT INTO changes (tbl, key) VALUES (?, ?)", [(table, key) for key in rows]
                )

    def _undo(self, undo: Sequence[tuple[Change, Row | None]]) -> None:
        if self._shared:
            # What stood there before may be another process's by now: ask the database.
            self._reload()
            return
        for change, before in reversed(undo):
            if change.table in JOURNALS:
                continue
            mirror = self._mirrors[change.table]
            if before is None:
                mirror.delete(change.key)
            else:
                mirror.put(before)
        self._tell([Change(change.table, change.key, before) for change, before in reversed(undo)])

    # -- other processes -----------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        version = self._db.execute("PRAGMA data_version").fetchone()[0]
        if version == self._data_version:
            return
        self._data_version = version
        if found := self._read_feed():
            self._tell(found)

    def _meet_others(self, own: Sequence[Change]) -> None:
        """Inside a transaction: take in what others wrote since; `own` comes on top of it."""
        found = self._read_feed()
        if not found:
            return
        written = {(change.table, change.key) for change in found}
        on_top = [change for change in own if (change.table, change.key) in written]
        for change in on_top:
            self._apply(change)
        self._tell([*found, *on_top])

    def _after_own_changes(self) -> None:
        self._seen = self._db.execute("SELECT coalesce(max(seq), ?) FROM changes", (self._seen,)).fetchone()[
            0
        ]
        self._db.execute("DELETE FROM changes WHERE seq <= ?", (self._seen - FEED_ROWS,))

    def _read_feed(self) -> list[Change]:
        """Apply the feed from where it was left; whoever has fallen too far behind reads everything anew."""
        entries = self._db.execute(
            "SELECT seq, tbl, key FROM changes WHERE seq > ? ORDER BY seq", (self._seen,)
        ).fetchall()
        if not entries:
            return []
        if entries[0][0] > self._seen + 1 or any(table == EVERYTHING for _, table, _ in entries):
            self._reload()
            return []
        self._seen = entries[-1][0]
        found: list[Change] = []
        for table, key in dict.fromkeys((table, key) for _, table, key in entries):
            hit = self._db.execute(
                f"SELECT key, kind, scope, body FROM {table} WHERE key = ?",  # noqa: S608
                (key,),
            ).fetchone()
            change = Change(table, key, Row(*hit) if hit else None)
            self._apply(change)
            found.append(change)
        return found

    def _tell(self, changes: Sequence[Change]) -> None:
        for listener in self._listeners:
            listener(changes)

    # -- the whole state -----------------------------------------------------------------------------------

    def reset(self) -> None:
        """Delete every row of every table."""
        self._flush()
        self._db.execute("BEGIN IMMEDIATE")
        for table in self.tables:
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608
        self._db.execute("INSERT INTO changes (tbl, key) VALUES (?, '')", (EVERYTHING,))
        self._db.execute("COMMIT")
        self._reload()

    def snapshot(self, target: Path) -> None:
        """Write a consistent copy."""
        self._flush()
        copy = sqlite3.connect(target)
        try:
            self._db.backup(copy)
        finally:
            copy.close()

    def restore(self, source: Path) -> None:
        """Replace the whole state by a snapshot.

        Raises:
            SnapshotError: there is no such file, or it is no snapshot; the state stays as it was.
        """
        copy = opened(source, (*_FIRST_TABLES, *JOURNALS))
        try:
            self._flush()
            seen = max(
                self._seen, self._db.execute("SELECT coalesce(max(seq), 0) FROM changes").fetchone()[0]
            )
            copy.backup(self._db)
        finally:
            copy.close()
        self._make_tables()
        # Others know by a number above all that they have seen that this is another state now.
        self._db.execute(
            "INSERT INTO changes (seq, tbl, key) "
            "SELECT max(?, coalesce(max(seq), 0)) + 1, ?, '' FROM changes",
            (seen, EVERYTHING),
        )
        self._reload()

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

    def _reload(self) -> None:
        """Read everything anew and tell the caches what has gone and what is there."""
        gone = [Change(change.table, change.key, None) for change in self._all()]
        self._load()
        self._tell([*gone, *self._all()])

    def _make_tables(self) -> None:
        self._db.executescript((files("arcbed_cloud.store") / "schema.sql").read_text())

    def _load(self) -> None:
        self._mirrors = {table: Mirror() for table in TABLES}
        for table, mirror in self._mirrors.items():
            for row in self._db.execute(f"SELECT key, kind, scope, body FROM {table}"):  # noqa: S608
                mirror.put(Row(*row))
        self._seen = self._db.execute("SELECT coalesce(max(seq), 0) FROM changes").fetchone()[0]
        self._data_version = self._db.execute("PRAGMA data_version").fetchone()[0]
