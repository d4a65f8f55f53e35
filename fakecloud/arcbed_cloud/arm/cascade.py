"""Deleting what hangs below: children, extension resources, and the role assignments made there."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence

from arcbed_cloud.arm.access import ASSIGNMENTS
from arcbed_cloud.arm.table import ResourceType
from arcbed_cloud.store import Store
from arcbed_cloud.store.contract import Row, Unit


def below(rows: Sequence[Row], key: str) -> list[Row]:
    """Of rows sorted by key, those below the ARM id `key` (lower case, not the item itself), deepest last."""
    start = bisect.bisect_left(rows, key + "/", key=lambda row: row.key)
    end = bisect.bisect_left(rows, key + "0", key=lambda row: row.key)  # "0" follows "/"
    return list(rows[start:end])


def delete_row(unit: Unit, table: Mapping[str, ResourceType], row: Row) -> None:
    """Delete one resource after its type's ``on_delete`` has seen it."""
    known = table.get(row.kind)
    if known is not None and known.on_delete is not None:
        known.on_delete(unit, row)
    unit.delete("resources", row.key)


def delete_below(unit: Unit, store: Store, table: Mapping[str, ResourceType], key: str) -> int:
    """Delete what is below `key`, children first, and the assignments at or below it; returns how many."""
    doomed = below(store.rows("resources"), key)
    for row in reversed(doomed):
        delete_row(unit, table, row)
    for grant in store.rows("grants", kind=ASSIGNMENTS):
        if grant.scope == key or grant.scope.startswith(key + "/"):
            unit.delete("grants", grant.key)
    return len(doomed)
