"""Units of work: what is written in one block, and when the block has been left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import orjson

from arcbed_cloud.store.contract import Change, Document, Row


class Taker(Protocol):
    """The store, as its units see it.

    Attributes:
        waiting: of each task in a `Together` block, what its units wait for.
    """

    waiting: dict[asyncio.Task[Any], list[asyncio.Future[None]]]

    def take(self, unit: SqliteUnit) -> asyncio.Future[None] | None:
        """Apply a finished unit in memory and queue it; what to wait for, unless a `Together` block does."""


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


class Work:
    """The block of one unit. A class, as generators would cost more than what small units do."""

    __slots__ = ("_store", "_unit")

    def __init__(self, store: Taker) -> None:
        self._store = store
        self._unit = SqliteUnit()

    async def __aenter__(self) -> SqliteUnit:
        return self._unit

    async def __aexit__(self, kind: object, _error: object, _trace: object) -> None:
        if kind is None and self._unit.changes:
            done = self._store.take(self._unit)
            if done is not None:
                await done


class Together:
    """The block in which a task's units are waited for at the end; an inner one leaves that to the outer."""

    __slots__ = ("_store", "_task", "_unit")

    def __init__(self, store: Taker) -> None:
        self._store = store
        self._task: asyncio.Task[Any] | None = None
        self._unit = SqliteUnit()

    async def __aenter__(self) -> SqliteUnit:
        task = asyncio.current_task()
        if task is not None and task not in self._store.waiting:
            self._task = task
            self._store.waiting[task] = []
        return self._unit

    async def __aexit__(self, kind: object, _error: object, _trace: object) -> None:
        done = self._store.take(self._unit) if kind is None and self._unit.changes else None
        if done is not None:
            await done
        if self._task is None:
            return
        # Also after an error: what was written before it counts as it does without the block.
        failed: Exception | None = None
        for done in self._store.waiting.pop(self._task):
            try:
                await done
            except Exception as error:  # noqa: BLE001 - raised below, once every unit has been heard of
                failed = failed or error
        if failed is not None:
            raise failed
