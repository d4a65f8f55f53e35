"""The machine's own clock."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Self


class SystemTask:
    """A loop on the system clock."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        return None

    async def sleep_until(self, deadline: datetime | None, wake: asyncio.Event | None = None) -> bool:
        """Sleep until `deadline` or `wake`; an idle daemon costs no timer ticks."""
        seconds = None if deadline is None else max(0.0, (deadline - self._clock.now()).total_seconds())
        if wake is None:
            wake = asyncio.Event()
        try:
            # Not `wait_for`: before Python 3.12 it loses a cancellation that comes together with the event.
            async with asyncio.timeout(seconds):
                await wake.wait()
        except TimeoutError:
            return False
        return True

    async def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`."""
        await asyncio.sleep(seconds)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Nothing to hold: wall time passes anyway."""
        yield


class SystemClock:
    """The machine's own clock.

    Args:
        offset: added to `now`, for machines whose clock is wrong.

    Attributes:
        machine: how task names begin.
        chance: where spreads and jitter come from.
    """

    def __init__(self, offset: timedelta = timedelta()) -> None:
        self._offset = offset
        self.machine = "machine"
        self.chance: random.Random = random.SystemRandom()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        return None

    def now(self) -> datetime:
        """Timezone-aware UTC."""
        return datetime.now(UTC) + self._offset

    @property
    def standing(self) -> datetime | None:
        """None: it flows."""
        return None

    def listen(self, listener: Callable[[], None]) -> None:
        """It never stops."""

    def wall(self) -> float:
        """Real epoch seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Real seconds for measuring durations."""
        return time.monotonic()

    def task(self, name: str) -> SystemTask:  # noqa: ARG002 - the system clock needs no names
        """A loop on this clock."""
        return SystemTask(self)

    @asynccontextmanager
    async def child(self, name: str) -> AsyncIterator[dict[str, str]]:  # noqa: ARG002 - nothing to hold
        """Wall time passes anyway; the child needs to know nothing."""
        yield {}
