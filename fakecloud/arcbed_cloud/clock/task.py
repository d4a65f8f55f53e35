"""Loops inside the keeper's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from arcbed_cloud.clock.agenda import Entry

if TYPE_CHECKING:
    from arcbed_cloud.clock.keeper import Keeper


class KeeperTask:
    """A registered loop. It counts as running from its construction until it sleeps or leaves.

    Use it as an async context manager. Names are ``machine/daemon/task``.
    """

    def __init__(self, keeper: Keeper, name: str) -> None:
        self.name = name
        self.deadline: datetime | None = None
        self._keeper = keeper
        keeper.register(self)
        keeper.hold(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._keeper.drop(self)

    async def sleep_until(self, deadline: datetime | None, wake: asyncio.Event | None = None) -> bool:
        """Sleep until `deadline` (None: for ever) or until `wake` is set; True if it was the event.

        The task counts as running again from the moment it is woken, not from when it is next scheduled.
        """
        if wake is not None and wake.is_set():
            return True
        keeper, alarm = self._keeper, _Alarm(self._keeper, self)
        self.deadline = deadline
        entry: Entry | None = None
        if deadline is not None:
            entry = keeper.enter(deadline, self.name, alarm)
        watcher: asyncio.Task[None] | None = None
        if wake is not None:
            watcher = asyncio.get_running_loop().create_task(_forward(wake, alarm))
        keeper.release(self)
        try:
            await alarm.wait()
        except BaseException:
            if not alarm.is_set():
                keeper.hold(self)
            raise
        finally:
            if entry is not None:
                keeper.strike(entry)
            if watcher is not None:
                watcher.cancel()
        return wake is not None and wake.is_set()

    async def sleep(self, seconds: float) -> None:
        """Sleep for `seconds` of the bed's time."""
        await self.sleep_until(self._keeper.now() + timedelta(seconds=seconds))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold time while work that arrived from outside (a request, a push) is done by a sleeping task."""
        self._keeper.hold(self)
        try:
            yield
        finally:
            self._keeper.release(self)


class _Alarm(asyncio.Event):
    """An event that makes its task count as running at the instant it is set."""

    def __init__(self, keeper: Keeper, task: KeeperTask) -> None:
        super().__init__()
        self._keeper = keeper
        self._task = task

    def set(self) -> None:
        if not self.is_set():
            self._keeper.hold(self._task)
        super().set()


async def _forward(source: asyncio.Event, target: asyncio.Event) -> None:
    await source.wait()
    target.set()
