"""Time for the agent. Nothing else in the agent looks at a wall clock or sleeps.

`Clock` is what daemons are given. A stand-alone agent runs on `SystemClock`; in a bed the time keeper is
handed in, which has the same shape.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from datetime import UTC, datetime, timedelta
from typing import Protocol, Self


class ClockTask(Protocol):
    """One loop of a daemon: it runs, or it sleeps until a deadline."""

    async def __aenter__(self) -> Self:
        """Begin; the task counts as running."""

    async def __aexit__(self, *exc: object) -> None:
        """End; the task no longer holds time."""

    async def sleep_until(self, deadline: datetime | None, wake: asyncio.Event | None = None) -> bool:
        """Sleep until `deadline` (None: for ever) or until `wake` is set; True if it was the event."""

    async def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`."""

    def running(self) -> AbstractContextManager[None]:
        """Hold time while work that arrived from outside is done."""


class Clock(Protocol):
    """Where the agent's time comes from."""

    def now(self) -> datetime:
        """Timezone-aware UTC."""

    def wall(self) -> float:
        """Real epoch seconds, for what unmodified clients see: token lifetimes, assertions, key files."""

    def monotonic(self) -> float:
        """Real seconds for measuring durations."""

    def task(self, name: str) -> ClockTask:
        """Register a loop named ``machine/daemon/task``."""

    def child(self, name: str) -> AbstractAsyncContextManager[dict[str, str]]:
        """Hold time for a process that the block starts and waits for.

        The child is known to the clock as `name` (``machine/daemon/task``) before it starts. The block is
        given the variables to add to the child's environment.
        """


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
            await asyncio.wait_for(wake.wait(), seconds)
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
    """

    def __init__(self, offset: timedelta = timedelta()) -> None:
        self._offset = offset

    def now(self) -> datetime:
        """Timezone-aware UTC."""
        return datetime.now(UTC) + self._offset

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
