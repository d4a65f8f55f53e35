"""When a loop is next due: once in a period, a little spread, and whenever it is said that there is news."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from arcbed_agent.clock.contract import Clock, ClockTask


def spread(seconds: float, part: float, chance: random.Random) -> float:
    """`seconds`, made longer or shorter at random by up to `part` (0 to 1) of them."""
    return seconds * (1.0 + part * (2.0 * chance.random() - 1.0))


class Timetable:
    """The next time of one loop.

    What is said while the loop is at work counts: the end of that work does not put it off.

    Args:
        period: seconds between two times; asked whenever it is needed.
    """

    def __init__(self, clock: Clock, period: Callable[[], float]) -> None:
        self._clock = clock
        self._period = period
        self._wake = asyncio.Event()
        self._said = False
        self.next: datetime | None = None

    def begin(self, vm_id: str) -> None:
        """Start; the first time is spread over the period by the machine's vmId."""
        self.begin_in(self.first(vm_id))

    def begin_in(self, seconds: float) -> None:
        """Start, `seconds` from now."""
        self._said = True
        self._schedule(seconds)

    def first(self, vm_id: str) -> float:
        """Seconds from the beginning to the first time: the same for a vmId, spread for many."""
        number = int.from_bytes(hashlib.sha256(vm_id.encode()).digest()[:8], "big")
        return number % max(1, int(self._period() * 1_000)) / 1_000

    def end(self) -> None:
        """Never again, until it begins anew."""
        self.next = None
        self._said = True
        self._wake.set()

    def now(self) -> None:
        """There is news; nothing happens before the beginning."""
        if self.next is not None:
            self._said = True
            self._schedule(0.0)

    def repace(self) -> None:
        """The period has changed; a shorter one holds at once."""
        if self.next is not None:
            self.next = min(self.next, self._clock.now() + timedelta(seconds=self._period()))
            self._wake.set()

    async def due(self, task: ClockTask) -> bool:
        """Sleep until the next time; True when it has come, False when something else was said before."""
        self._wake.clear()
        if await task.sleep_until(self.next, self._wake):
            return False
        self._said = False
        return True

    def after(self, seconds: float) -> None:
        """The work is done: again in `seconds`, unless something else was said while it was."""
        if not self._said:
            self._schedule(seconds)

    def _schedule(self, seconds: float) -> None:
        self.next = self._clock.now() + timedelta(seconds=seconds)
        self._wake.set()
