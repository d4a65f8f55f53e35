"""The loop that hands in reports; of each assignment the newest only, the oldest assignment first."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.errors import AgentError
from arcbed_agent.gcad import reports
from arcbed_agent.gcad.logs import DISPATCHER, by
from arcbed_agent.gcad.records import Assignment
from arcbed_agent.gcad.service import Service
from arcbed_agent.gcad.store import Store
from arcbed_agent.himds.backoff import BackOff, Circuits, asked_wait, transient

#: ``docs/wire.md`` section 15.1, class E.
BACKOFF: Final = BackOff(10.0, 900.0)


class Outbox:
    """Sends what is waiting.

    Args:
        name: of the clock task, ``machine/gcad/report``.
        circuits: which hosts have failed too often; then a pull that works is waited for.
        active: whether the agent may work at all.
        deleted: told of an assignment that the service does not know any more.
    """

    def __init__(
        self,
        *,
        name: str,
        clock: Clock,
        chance: random.Random,
        store: Store,
        service: Service,
        circuits: Circuits,
        active: Callable[[], bool],
        deleted: Callable[[str], None],
        log: logging.Logger,
    ) -> None:
        self._clock = clock
        self._task = clock.task(name)
        self._chance = chance
        self._store = store
        self._service = service
        self._circuits = circuits
        self._active = active
        self._deleted = deleted
        self._log = log
        self._wake = asyncio.Event()
        self._failures = 0
        self._not_before: datetime | None = None

    def wake(self) -> None:
        """A report has come in."""
        self._wake.set()

    def reached(self) -> None:
        """A pull has worked: whatever waits is sent."""
        self._failures = 0
        self._not_before = None
        self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with self._task as task:
            while True:
                self._wake.clear()
                found = self._next()
                if found is None:
                    await task.sleep_until(None, self._wake)
                elif self._not_before and self._not_before > self._clock.now():
                    await task.sleep_until(self._not_before, self._wake)
                else:
                    await self._hand_in(found)

    def _next(self) -> Assignment | None:
        if not self._active() or self._service.cut_off:
            return None
        waiting = [item for item in self._store if item.report is not None]
        return min(waiting, key=lambda item: (item.told_at, item.name), default=None)

    async def _hand_in(self, assignment: Assignment) -> None:
        report = assignment.report or {}
        try:
            answer = await self._service.report(report)
        except CloudError as error:
            self._refused(assignment, error)
        except (UnreachableError, AgentError) as error:
            self._later(error)
        except Exception as error:  # noqa: BLE001 - a bug must not end the loop
            self._log.exception("Report of '%s' failed", assignment.name, extra=by(DISPATCHER))
            self._later(error)
        else:
            self._circuits.succeeded()
            self._failures, self._not_before = 0, None
            self._done(assignment)
            how = "" if answer.get("applied", True) else ", for an older version"
            text = "Report %s of '%s' was accepted%s"
            self._log.info(text, report.get("jobId"), assignment.name, how, extra=by(DISPATCHER))

    def _refused(self, assignment: Assignment, error: CloudError) -> None:
        if transient(error) or error.status == 401:
            self._later(error)
            return
        self._log.error("Report of '%s': %s", assignment.name, error, extra=by(DISPATCHER))
        report = assignment.report or {}
        if error.status == 404 and error.code == "AssignmentNotFound":
            self._store.remove(assignment.name)
            self._deleted(assignment.name)
        elif error.status == 413 and not report.get("truncated"):
            self._store.put(replace(assignment, report=reports.shortened(report)))
        elif error.status in {403, 404}:
            self._later(error)
        else:
            self._done(assignment)

    def _done(self, assignment: Assignment) -> None:
        """Forget the report, unless a newer one has taken its place."""
        now = self._store.get(assignment.name)
        if now is not None and now.report == assignment.report:
            self._store.put(replace(now, report=None))

    def _later(self, error: Exception) -> None:
        host = error.host if isinstance(error, CloudError | UnreachableError) else ""
        self._circuits.failed(host)
        if self._circuits.is_open(host):
            self._service.cut_off = True
        wait = BACKOFF.delay(self._failures, self._chance, asked_wait(error))
        self._failures += 1
        self._not_before = self._clock.now() + timedelta(seconds=wait)
        text = "Reports wait: %s. Next try in %d seconds"
        self._log.warning(text, error, int(wait), extra=by(DISPATCHER))
