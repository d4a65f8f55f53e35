"""Fourteen days without the service, and assignments are gone. ``docs/wire.md`` section 11.4."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from arcbed_agent.clock import Clock
from arcbed_agent.gc_logs import DISPATCHER, by
from arcbed_agent.gcad.records import written
from arcbed_agent.gcad.store import Store

#: The first moment that is past the last one inside.
_NEXT_MOMENT: Final = timedelta(microseconds=1)


class Retention:
    """Deletes what has outlived its time.

    Args:
        name: of the clock task, ``machine/gcad/retention``.
        purged: told when everything has been deleted.
    """

    def __init__(
        self, *, name: str, clock: Clock, store: Store, purged: Callable[[], None], log: logging.Logger
    ) -> None:
        self._clock = clock
        self._task = clock.task(name)
        self._store = store
        self._purged = purged
        self._log = log
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """The end may be another now."""
        self._wake.set()

    async def run(self) -> None:
        """Wait for the end, as often as it moves away."""
        async with self._task as task:
            while True:
                self._wake.clear()
                self.enforce()
                await task.sleep_until(self._end(), self._wake)

    def enforce(self) -> None:
        """Delete everything if its time is over."""
        now = self._clock.now()
        if not len(self._store) or not self._store.sync.over(now):
            return
        days = self._store.sync.retention_seconds / 86_400
        for item in self._store:
            text = "Assignment '%s' is deleted: no contact with the service for more than %g days"
            self._log.warning(text, item.name, days, extra=by(DISPATCHER))
        self._store.clear()
        self._store.keep_sync(replace(self._store.sync, etag="", purged=written(now)))
        self._purged()

    def _end(self) -> datetime | None:
        end = self._store.sync.end
        return end + _NEXT_MOMENT if end is not None and len(self._store) else None
