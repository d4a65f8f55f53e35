"""Two stores on one database, as two processes have them; and both against a dictionary."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.stored import put, value

from arcbed_cloud.store import SqliteStore
from arcbed_cloud.store.sqlite import FEED_ROWS


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
