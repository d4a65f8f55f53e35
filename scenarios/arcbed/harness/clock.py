"""Real time for the harness: the one module of the scenarios that looks at a wall clock or waits on a timer.

The bed's own time belongs to the keeper in the control plane. What is here bounds how long a person waits for
processes that are outside this one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")


def now() -> datetime:
    """Timezone-aware UTC."""
    return datetime.now(UTC)


def epoch() -> float:
    """Seconds since 1970, for files and tokens."""
    return time.time()


def monotonic() -> float:
    """Seconds for measuring durations."""
    return time.monotonic()


async def until(probe: Callable[[], Awaitable[T | None]], *, limit: float, every: float = 0.05) -> T | None:
    """Call `probe` until it gives something other than None; None after `limit` real seconds.

    The pause grows from `every` to ten times that, so that long waits cost little.
    """
    deadline = monotonic() + limit
    pause = every
    while True:
        found = await probe()
        if found is not None:
            return found
        left = deadline - monotonic()
        if left <= 0:
            return None
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.3, every * 10)
