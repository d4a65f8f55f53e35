"""What tests of the store write into it and look at."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from arcbed_cloud.store import SqliteStore, Store
from arcbed_cloud.store.sqlite import JOURNALS, TABLES


async def put(store: Store, key: str, value: object, *, table: str = "resources", kind: str = "k") -> None:
    """A unit with one row."""
    async with store.unit() as unit:
        unit.put(table, key, {"value": value}, kind=kind, scope="s")


def value(store: Store, key: str, table: str = "resources") -> object:
    """What `put` has written; None where there is no row."""
    row = store.get(table, key)
    return row.document["value"] if row else None


def stored(path: Path, table: str) -> list[str]:
    """The keys of a table as they are on disk."""
    database = sqlite3.connect(path)
    try:
        return [str(key) for (key,) in database.execute(f"SELECT key FROM {table} ORDER BY key")]
    finally:
        database.close()


async def fill(store: SqliteStore, mark: str) -> None:
    """A row in every table."""
    async with store.unit() as unit:
        for table in TABLES:
            unit.put(table, f"{mark}-{table}", {"value": mark})
        for table in JOURNALS:
            unit.append(table, {"value": mark})


def contents(store: SqliteStore) -> dict[str, list[object]]:
    """The values of all rows, by table."""
    found = {table: [row.document["value"] for row in store.rows(table)] for table in TABLES}
    return found | {table: [row.document["value"] for row in store.tail(table)] for table in JOURNALS}
