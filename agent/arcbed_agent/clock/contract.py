"""What daemons are given for time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
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

    @property
    def standing(self) -> datetime | None:
        """The time where it stands still and a bed moves it; None while it flows as real time does."""

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever time stops or begins to flow."""

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
