"""One table in memory."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterator

from arcbed_cloud.store.contract import Row


class Mirror:
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
        """Insert or replace; the row that stood there before."""
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
        """Take a row out; it, or None."""
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
        """Rows sorted by key; None stands for any."""
        rows = self.rows
        return [rows[key] for key in self._keys.get((kind, scope), ())]
