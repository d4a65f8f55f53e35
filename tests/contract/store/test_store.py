"""What the control plane relies on in its store, whichever database holds it."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arcbed_cloud.store import Change, SnapshotError, SqliteStore, Store
from arcbed_cloud.store.sqlite import FEED_ROWS, JOURNALS, TABLES


async def turn() -> None:
    """Let everything that is ready run once."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_soon(done.set_result, None)
    await done


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


async def put(store: Store, key: str, value: object, *, table: str = "resources", kind: str = "k") -> None:
    async with store.unit() as unit:
        unit.put(table, key, {"value": value}, kind=kind, scope="s")


def value(store: Store, key: str, table: str = "resources") -> object:
    row = store.get(table, key)
    return row.document["value"] if row else None


# -- units ---------------------------------------------------------------------------------------------------


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


def stored(path: Path, table: str) -> list[str]:
    database = sqlite3.connect(path)
    try:
        return [str(key) for (key,) in database.execute(f"SELECT key FROM {table} ORDER BY key")]
    finally:
        database.close()


# -- journals ------------------------------------------------------------------------------------------------


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


# -- the whole state -----------------------------------------------------------------------------------------


async def fill(store: SqliteStore, mark: str) -> None:
    async with store.unit() as unit:
        for table in TABLES:
            unit.put(table, f"{mark}-{table}", {"value": mark})
        for table in JOURNALS:
            unit.append(table, {"value": mark})


def contents(store: SqliteStore) -> dict[str, list[object]]:
    found = {table: [row.document["value"] for row in store.rows(table)] for table in TABLES}
    return found | {table: [row.document["value"] for row in store.tail(table)] for table in JOURNALS}


def test_tables_are_all_tables_of_the_schema(store: SqliteStore) -> None:
    """So that reset, snapshot and restore cannot miss one that somebody adds."""
    names = store._db.execute(
        "SELECT name FROM sqlite_master "
        "WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name != 'changes'"
    )
    assert {name for (name,) in names} == set(store.tables)


async def test_reset_empties_every_table_on_disk_and_in_caches(store: SqliteStore, path: Path) -> None:
    await fill(store, "one")
    gone: list[tuple[str, str]] = []
    store.subscribe(
        lambda changes: gone.extend((change.table, change.key) for change in changes if not change.row)
    )
    store.reset()
    assert all(rows == [] for rows in contents(store).values())
    assert all(stored(path, table) == [] for table in store.tables)
    assert set(gone) == {(table, f"one-{table}") for table in TABLES}
    await fill(store, "two")
    assert all(rows == ["two"] for rows in contents(store).values())


async def test_snapshot_and_restore_cover_every_table_and_caches_learn_it(
    store: SqliteStore, tmp_path: Path
) -> None:
    await fill(store, "one")
    store.snapshot(tmp_path / "copy.db")
    async with store.unit() as unit:
        unit.delete("resources", "one-resources")
        unit.put("meta", "one-meta", {"value": "changed"})
    await fill(store, "two")
    cache: dict[tuple[str, str], object] = {
        (table, row.key): row.document["value"] for table in TABLES for row in store.rows(table)
    }

    def listen(changes: Sequence[Change]) -> None:
        for change in changes:
            if change.row is None:
                cache.pop((change.table, change.key), None)
            else:
                cache[change.table, change.key] = change.row.document["value"]

    store.subscribe(listen)
    store.restore(tmp_path / "copy.db")
    assert all(rows == ["one"] for rows in contents(store).values())
    assert cache == {(table, f"one-{table}"): "one" for table in TABLES}


async def test_writes_that_wait_for_their_commit_are_in_the_snapshot_and_not_in_the_reset_state(
    store: SqliteStore, tmp_path: Path
) -> None:
    writing = asyncio.ensure_future(put(store, "a", 1))
    await turn()
    store.snapshot(tmp_path / "copy.db")
    assert stored(tmp_path / "copy.db", "resources") == ["a"]
    await writing
    writing = asyncio.ensure_future(put(store, "b", 1))
    await turn()
    store.reset()
    await writing
    await put(store, "c", 1)
    assert [row.key for row in store.rows("resources")] == ["c"] == stored(store.path or Path(), "resources")


@pytest.mark.parametrize("kind", ["missing", "text", "other", "empty"])
async def test_restoring_what_is_no_snapshot_is_refused_and_loses_nothing(
    store: SqliteStore, tmp_path: Path, kind: str
) -> None:
    await fill(store, "one")
    source = tmp_path / "source"
    if kind == "text":
        source.write_text("not a database, but long enough to be looked at as one" * 20)
    elif kind == "empty":
        source.touch()
    elif kind == "other":
        other = sqlite3.connect(source)
        other.execute("CREATE TABLE resources (key)")
        other.commit()
        other.close()
    with pytest.raises(SnapshotError, match="snapshot"):
        store.restore(source)
    assert all(rows == ["one"] for rows in contents(store).values())
    assert kind != "missing" or not source.exists()


# -- two stores on one database ------------------------------------------------------------------------------


@pytest.fixture
def pair(path: Path) -> Iterator[tuple[SqliteStore, SqliteStore]]:
    one, two = SqliteStore(path, shared=True), SqliteStore(path, shared=True)
    yield one, two
    one.close()
    two.close()


async def test_other_store_sees_writes_deletes_and_tells_its_caches(
    pair: tuple[SqliteStore, SqliteStore],
) -> None:
    one, two = pair
    heard: list[tuple[str, bool]] = []
    two.subscribe(lambda changes: heard.extend((change.key, change.row is None) for change in changes))
    await put(one, "a", 1)
    assert value(two, "a") == 1
    assert [row.key for row in two.rows("resources", kind="k", scope="s")] == ["a"]
    async with one.unit() as unit:
        unit.delete("resources", "a")
    assert value(two, "a") is None
    assert heard == [("a", False), ("a", True)]


async def test_both_stores_may_write_between_each_others_reads(pair: tuple[SqliteStore, SqliteStore]) -> None:
    """A write of one's own must not hide what the other wrote just before."""
    one, two = pair
    await put(one, "a", 1)
    await put(two, "b", 2)
    await put(one, "c", 3)
    for store in pair:
        assert [row.key for row in store.rows("resources")] == ["a", "b", "c"]


async def test_later_write_wins_in_both_stores(pair: tuple[SqliteStore, SqliteStore]) -> None:
    one, two = pair
    await put(one, "a", "first")
    await put(two, "a", "second")
    assert (value(one, "a"), value(two, "a")) == ("second", "second")


async def test_reset_and_restore_reach_the_other_store(
    pair: tuple[SqliteStore, SqliteStore], tmp_path: Path
) -> None:
    one, two = pair
    await put(one, "a", 1)
    one.snapshot(tmp_path / "copy.db")
    assert value(two, "a") == 1
    await put(two, "b", 2)
    one.reset()
    assert two.rows("resources") == []
    two.restore(tmp_path / "copy.db")
    assert [row.key for row in one.rows("resources")] == ["a"]
    await put(one, "c", 3)
    assert [row.key for row in two.rows("resources")] == ["a", "c"]


async def test_store_that_has_fallen_behind_the_feed_reads_everything(
    pair: tuple[SqliteStore, SqliteStore],
) -> None:
    one, two = pair
    assert two.rows("resources") == []
    async with one.unit() as unit:
        for index in range(FEED_ROWS + 10):
            unit.put("resources", f"k{index}", {"value": index})
    await put(one, "last", 0)
    assert len(two.rows("resources")) == FEED_ROWS + 11


# -- against a model -----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from([0, 1]),
            st.sampled_from("abc"),
            st.sampled_from(["x", "y", None]),
            st.sampled_from(["1", "2"]),
        ),
        max_size=25,
    )
)
def test_two_stores_agree_with_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, str | None, str]]
) -> None:
    path = tmp_path_factory.mktemp("model") / "state.db"
    stores = [SqliteStore(path, shared=True), SqliteStore(path, shared=True)]
    model: dict[str, tuple[str, str]] = {}

    async def run() -> None:
        for which, key, kind, scope in steps:
            async with stores[which].unit() as unit:
                if kind is None:
                    unit.delete("resources", key)
                    model.pop(key, None)
                else:
                    unit.put("resources", key, {}, kind=kind, scope=scope)
                    model[key] = (kind, scope)
        for store in stores:
            assert {row.key: (row.kind, row.scope) for row in store.rows("resources")} == model
            for kind in "xy":
                expected = sorted(key for key, (found, _) in model.items() if found == kind)
                assert [row.key for row in store.rows("resources", kind=kind)] == expected

    asyncio.run(run())
    for store in stores:
        store.close()
