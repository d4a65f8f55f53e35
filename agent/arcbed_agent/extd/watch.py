"""Waiting for a handler that has not said how its enable went: by its status folder, not by its process."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from pathlib import Path

from asyncinotify import Inotify, Mask

from arcbed_agent.clock import Clock

_CHANGES = Mask.CLOSE_WRITE | Mask.MOVED_TO | Mask.DELETE


class Watch:
    """One waiting. While it *holds*, the bed's time stands: the handler works in real time.

    Args:
        clock: the machine's time.
        name: of the clock's child, ``machine/extd/status``.
        folder: that changes when the handler says something.
        wake: set when it has changed.
    """

    def __init__(self, clock: Clock, name: str, folder: Path, wake: asyncio.Event) -> None:
        self._clock = clock
        self._name = name
        self._wake = wake
        self._hold = AsyncExitStack()
        self._inotify = Inotify()
        with suppress(OSError):
            self._inotify.add_watch(folder, _CHANGES)
        self._reading = asyncio.ensure_future(self._read())
        # What was written before the watch began is looked at once more.
        self.news = True
        self.until: datetime | None = None
        self.goal: object = None

    async def _read(self) -> None:
        while True:
            await self._inotify.get()
            self.news = True
            self._wake.set()

    def due(self, now: datetime, goal: object) -> bool:
        """Whether there is something to look at."""
        return self.news or self.until is None or now >= self.until or goal != self.goal

    async def hold(self, until: datetime, goal: object) -> None:
        """Wait for `until` or for news; `goal` is what it is waited for."""
        self.until, self.goal = until, goal
        await self._hold.enter_async_context(self._clock.child(self._name))

    async def release(self) -> None:
        """Look: time may pass."""
        self.news = False
        await self._hold.aclose()

    async def close(self) -> None:
        """End."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._inotify.close()
        await self._hold.aclose()
