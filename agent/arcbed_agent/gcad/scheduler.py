"""The loop that evaluates: each assignment at its time, strictly one after another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from arcbed_agent.clock import Clock, ClockTask
from arcbed_agent.config import LocalConfig
from arcbed_agent.gc_logs import DISPATCHER, by
from arcbed_agent.gcad.records import Assignment, assignment_type, moment_of, written
from arcbed_agent.gcad.runs import Run
from arcbed_agent.gcad.store import Store

#: Seen: after a start of the agent the next run of an assignment is about three minutes away.
AFTER_START: Final = timedelta(minutes=3)
_ONCE: Final = {"applyonce", "applyonly"}


class Scheduler:
    """Evaluates what is due.

    Args:
        name: of the clock task, ``machine/gcad/consistency``.
        active: whether the agent may work at all.
        run: evaluates one assignment and answers its changed record.
        ended: told of each assignment that has been evaluated.

    Attributes:
        busy: the assignment that is being evaluated, empty between two.
    """

    def __init__(
        self,
        *,
        name: str,
        clock: Clock,
        store: Store,
        config: Callable[[], LocalConfig],
        active: Callable[[], bool],
        run: Run,
        ended: Callable[[str], None],
        log: logging.Logger,
    ) -> None:
        self._clock = clock
        self._task = clock.task(name)
        self._store = store
        self._config = config
        self._active = active
        self._run = run
        self._ended = ended
        self._log = log
        self._wake = asyncio.Event()
        self.busy = ""

    def begin(self) -> None:
        """The agent has started: nothing waits longer than three minutes."""
        latest = self._clock.now() + AFTER_START
        for item in self._store:
            due = moment_of(item.due)
            if due is not None and due > latest:
                self._store.put(replace(item, due=written(latest)))
        self.wake()

    def wake(self) -> None:
        """Something has become due, or the machine's settings have changed."""
        self._wake.set()

    async def run(self) -> None:
        """Evaluate until cancelled."""
        async with self._task as task:
            while True:
                self._wake.clear()
                found, due = self._next()
                if not await task.sleep_until(due, self._wake) and found:
                    await self._evaluate(found, task)

    def _next(self) -> tuple[str, datetime | None]:
        if not self._active():
            return "", None
        waiting = [
            (due, item.name) for item in self._store if item.published and (due := moment_of(item.due))
        ]
        if not waiting:
            return "", None
        due, name = min(waiting)
        return name, due

    async def _evaluate(self, name: str, task: ClockTask) -> None:
        assignment = self._store.get(name)
        if assignment is None or assignment.published is None:
            return
        self.busy = name
        self._log.info("Run Consistency for '%s'", name, extra=by(DISPATCHER))
        began = self._clock.now()
        try:
            done = await self._run(assignment, task)
        except Exception:  # noqa: BLE001 - one assignment must not end the loop
            self._log.exception("Run of '%s' failed", name, extra=by(DISPATCHER))
            done = assignment
        finally:
            self.busy = ""
        self._finish(assignment, done, began)
        self._ended(name)

    def _finish(self, before: Assignment, done: Assignment, began: datetime) -> None:
        """Keep the result, unless the assignment is gone or has been published again meanwhile."""
        now = self._store.get(before.name)
        if now is None or now.published is None or now.published != before.published:
            return
        self._store.put(
            replace(
                now,
                status=done.status,
                initial=done.initial,
                seq=done.seq,
                told=done.told,
                told_at=done.told_at,
                report=done.report,
                used=done.used,
                due=self._due(before, began),
            )
        )

    def _due(self, assignment: Assignment, began: datetime) -> str:
        """The next multiple of the interval that is still to come; missed runs are not made up for."""
        published = assignment.published
        if published is None or assignment_type(published.item).lower() in _ONCE:
            return ""
        every = timedelta(seconds=self._config().number("gcad.consistencySeconds") or published.minutes * 60)
        due = moment_of(assignment.due) or began
        missed = max(0, (self._clock.now() - due) // every)
        return written(due + every * (missed + 1))
