"""Snapshots: whole states in files of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from arcbed_cloud.store.contract import SnapshotError


def opened(source: Path, tables: Iterable[str]) -> sqlite3.Connection:
    """A snapshot, read-only, after a look at whether it is one.

    Args:
        source: the file.
        tables: what every state has.

    Raises:
        SnapshotError: there is no such file, or it is no snapshot.
    """
    if not source.is_file():
        raise SnapshotError(f"There is no snapshot {source}.")
    copy = sqlite3.connect(f"file:{quote(str(source.resolve()))}?mode=ro", uri=True)
    try:
        found = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        healthy = copy.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except sqlite3.DatabaseError as error:
        copy.close()
        raise SnapshotError(f"{source} is not a snapshot: {error}.") from error
    if not healthy or not found.issuperset(tables):
        copy.close()
        raise SnapshotError(f"{source} is not a whole snapshot of a bed's state.")
    return copy
