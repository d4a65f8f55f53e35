"""Units and blocks of them: all or nothing, durable when acknowledged, one commit if they come together."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.stored import put, stored, value
from tests.support.turns import turn

from arcbed_cloud.store import Change, SqliteStore


async def test_unit_is_there_for_readers_and_for_the_next_process(store: SqliteStore, path: Path) -> None:
    await put(store, "a", 1)
    assert value(store, "a") == 1
    other = SqliteStore(path)
    assert value(other, "a") == 1
    other.close()


async def test_exception_in_a_unit_writes_nothing(store: SqliteStore, path: Path) -> None:
    with pytest.raises(RuntimeError):
        async with store.unit() as unit:
            unit.put("resources", "a", {"value": 1})
            raise RuntimeError
    assert store.get("resources", "a") is None
    assert stored(path, "resources") == []


async def test_unit_tells_its_changes_in_order(store: SqliteStore) -> None:
    async with store.unit() as unit:
        unit.put("resources", "a", {})
        unit.delete("resources", "b")
        unit.append("activity", {})
    assert [(change.table, change.key, change.row is None) for change in unit.changes] == [
        ("resources", "a", False),
        ("resources", "b", True),
        ("activity", "", False),
    ]


async def test_rows_go_by_kind_and_scope_sorted_by_key(store: SqliteStore) -> None:
    async with store.unit() as unit:
        for key, kind, scope in (("c", "x", "1"), ("a", "x", "1"), ("b", "x", "2"), ("d", "y", "1")):
            unit.put("resources", key, {}, kind=kind, scope=scope)

    def keys(**by: str) -> str:
        return "".join(row.key for row in store.rows("resources", **by))

    assert (keys(), keys(kind="x"), keys(scope="1"), keys(kind="x", scope="1")) == (
        "abcd",
        "abc",
        "acd",
        "ac",
    )
    async with store.unit() as unit:
        unit.put("resources", "a", {}, kind="y", scope="2")
        unit.delete("resources", "c")
    assert (keys(kind="x"), keys(kind="y"), keys(kind="y", scope="2"), keys(scope="1")) == (
        "b",
        "ad",
        "a",
        "d",
    )


async def test_units_of_one_turn_share_a_commit(store: SqliteStore) -> None:
    commits: list[str] = []
    store._db.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    await asyncio.gather(*(put(store, f"k{index}", index) for index in range(50)))
    assert len(commits) == 1
    assert len(store.rows("resources")) == 50


async def test_units_of_a_task_together_share_a_commit_and_are_durable_behind_the_block(
    store: SqliteStore, path: Path
) -> None:
    commits: list[str] = []
    store._db.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    async with store.together():
        await put(store, "a", 1)
        assert (value(store, "a"), commits) == (1, [])
        async with store.together() as inner, store.unit() as unit:
            unit.put("resources", "a", {"value": 2}, kind="k", scope="s")
            inner.append("activity", {"value": 3})
        assert commits == []
    assert len(commits) == 1
    other = SqliteStore(path)
    assert (value(other, "a"), other.tail("activity")[0].document) == (2, {"value": 3})
    other.close()


async def test_error_in_a_block_leaves_its_finished_units_durable_and_its_own_unwritten(
    store: SqliteStore, path: Path
) -> None:
    with pytest.raises(LookupError):
        async with store.together() as unit:
            unit.append("activity", {"value": 3})
            await put(store, "a", 1)
            raise LookupError
    other = SqliteStore(path)
    assert (value(other, "a"), other.tail("activity")) == (1, [])
    other.close()


async def test_failed_commit_of_a_block_is_reported_at_its_end(store: SqliteStore) -> None:
    store._db.execute(
        "CREATE TRIGGER full BEFORE INSERT ON heartbeats BEGIN SELECT raise(ABORT, 'full'); END"
    )

    async def write() -> None:
        async with store.together():
            await put(store, "h", 1, table="heartbeats")
            await put(store, "a", 1)

    with pytest.raises(sqlite3.Error, match="full"):
        await write()
    assert (value(store, "h", "heartbeats"), value(store, "a")) == (None, None)


async def test_block_waits_for_its_own_task_only(store: SqliteStore) -> None:
    """A task that the block's task has started waits for its units by itself."""
    order: list[str] = []
    store._db.set_trace_callback(lambda sql: order.append(sql) if sql == "COMMIT" else None)

    async def other() -> None:
        await put(store, "b", 1)
        order.append("other")

    async with store.together():
        task = asyncio.ensure_future(other())
        await turn()
        await task
        order.append("block")
    assert order == ["COMMIT", "other", "block"]


async def test_failed_commit_is_undone_in_memory_and_in_caches_and_reported(store: SqliteStore) -> None:
    await put(store, "a", "old")
    cache: dict[str, object] = {"a": "old"}

    def listen(changes: Sequence[Change]) -> None:
        for change in changes:
            cache[change.key] = change.row.document["value"] if change.row else None

    store.subscribe(listen)
    store._db.execute(
        "CREATE TRIGGER full BEFORE INSERT ON heartbeats BEGIN SELECT raise(ABORT, 'full'); END"
    )

    async def write() -> None:
        async with store.unit() as unit:
            unit.put("resources", "a", {"value": "new"}, kind="k", scope="s")
            unit.put("resources", "b", {"value": "new"}, kind="k", scope="s")
            unit.put("heartbeats", "h", {"value": 1})

    with pytest.raises(sqlite3.Error, match="full"):
        await write()
    assert (value(store, "a"), value(store, "b"), value(store, "h", "heartbeats")) == ("old", None, None)
    assert cache == {"a": "old", "b": None, "h": None}
    store._db.execute("DROP TRIGGER full")
    await write()
    assert (value(store, "a"), value(store, "h", "heartbeats")) == ("new", 1)


async def test_key_that_no_database_takes_fails_its_unit_only(
    store: SqliteStore,
) -> None:
    with pytest.raises(UnicodeError):
        await put(store, "\ud800", 1)
    await put(store, "a", 1)
    assert value(store, "a") == 1


async def test_cancelled_writer_does_not_disturb_the_others(store: SqliteStore) -> None:
    one = asyncio.ensure_future(put(store, "a", 1))
    two = asyncio.ensure_future(put(store, "b", 2))
    await turn()
    one.cancel()
    await two
    assert value(store, "b") == 2
    assert one.cancelled() or one.done()


async def test_acknowledged_unit_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    program = f"""
import asyncio, os, signal
from pathlib import Path
from arcbed_cloud.store import SqliteStore
async def main():
    store = SqliteStore(Path({str(path)!r}))
    for index in range(20):
        async with store.unit() as unit:
            unit.put("resources", f"k{{index:02}}", {{"value": index}})
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    store = SqliteStore(path)
    assert [row.document["value"] for row in store.rows("resources")] == list(range(20))
    store.close()


async def test_journal_keeps_order_scope_and_only_the_newest_after_a_trim(store: SqliteStore) -> None:
    async with store.unit() as unit:
        for index in range(10):
            unit.append("activity", {"value": index}, scope="even" if index % 2 == 0 else "odd")
    assert [row.document["value"] for row in store.tail("activity", limit=3)] == [7, 8, 9]
    assert [row.document["value"] for row in store.tail("activity", scope="odd", limit=2)] == [7, 9]
    store.trim("activity", 4)
    async with store.unit() as unit:
        unit.append("activity", {"value": 10}, scope="even")
    assert [row.document["value"] for row in store.tail("activity")] == [7, 8, 9, 10]
