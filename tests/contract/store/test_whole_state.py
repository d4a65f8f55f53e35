"""Reset, snapshot and restore: every table, on disk and in caches."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.stored import contents, fill, put, stored
from tests.support.turns import turn

from arcbed_cloud.store import Change, SnapshotError, SqliteStore
from arcbed_cloud.store.sqlite import TABLES


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
