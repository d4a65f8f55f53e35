"""The loop that tells the service: progress and results of operations, and every 15 minutes how things are.

A result is on disk until the service has acknowledged it; progress is only told while it is news.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.errors import AgentError
from arcbed_agent.extd import outcome
from arcbed_agent.extd.records import Extension
from arcbed_agent.extd.service import ExtensionService
from arcbed_agent.extd.store import Store
from arcbed_agent.gcad.logs import by
from arcbed_agent.himds.backoff import BackOff, Circuits, asked_wait, transient

REPORTER: Final = "STATUS_REPORTER"
#: ``docs/wire.md`` section 15.1, class E.
BACKOFF: Final = BackOff(10.0, 900.0)
#: Seconds between two reports of progress of one operation.
COALESCED: Final = 5.0
#: Documented: every 15 minutes.
PERIOD: Final = 900.0
JITTER: Final = 0.1

#: What to say in a G6 of an extension now; None: nothing.
Describe = Callable[[Extension], Mapping[str, Any] | None]


class Outbox:
    """Sends what is waiting.

    Args:
        name: of the clock task, ``machine/extd/report``.
        circuits: which hosts have failed too often; then a pull that works is waited for.
        active: whether the manager may speak at all.
        describe: makes the body of a G6.
    """

    def __init__(
        self,
        *,
        name: str,
        clock: Clock,
        chance: random.Random,
        store: Store,
        service: ExtensionService,
        circuits: Circuits,
        active: Callable[[], bool],
        describe: Describe,
        log: logging.Logger,
    ) -> None:
        self._clock = clock
        self._task = clock.task(name)
        self._chance = chance
        self._store = store
        self._service = service
        self._circuits = circuits
        self._active = active
        self._describe = describe
        self._log = log
        self._wake = asyncio.Event()
        self._speaking = asyncio.Lock()
        self._failures = 0
        self._not_before: datetime | None = None
        self._told: dict[str, datetime] = {}
        self._news: set[str] = set()
        self._next_period: dict[str, datetime] = {}

    def wake(self) -> None:
        """A result has come in."""
        self._wake.set()

    def progress(self, name: str) -> None:
        """The operation of an extension is in another phase."""
        self._news.add(name)
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
                at = await self._round()
                if at is None or at > self._clock.now():
                    await task.sleep_until(at, self._wake)

    async def _round(self) -> datetime | None:
        """Send one thing, if there is one; when to look again."""
        now = self._clock.now()
        if not self._active() or self._service.cut_off:
            return None
        if self._not_before and self._not_before > now:
            return self._not_before
        for extension in self._store:
            if extension.report is not None:
                await self._result(extension)
                return now
        progress = self._due_progress(now)
        if isinstance(progress, Extension):
            await self._progress(progress)
            return now
        periodic = self._due_period(now)
        if isinstance(periodic, Extension):
            await self._status(periodic)
            return now
        return min((at for at in (progress, periodic) if at is not None), default=None)

    # -- results ---------------------------------------------------------------------------------------------

    async def _result(self, extension: Extension) -> None:
        report = extension.report or {}
        operation = str(report.get("operationId") or "")
        body = {key: value for key, value in report.items() if key != "operationId"}

        def done() -> None:
            now = self._store.get(extension.name)
            if now is not None and now.report == report:
                self._store.put(replace(now, report=None))

        def shorter() -> None:
            now = self._store.get(extension.name)
            if now is not None and now.report == report and not report.get("truncated"):
                self._store.put(replace(now, report=outcome.shortened(report)))
            else:
                done()

        await self._say(extension.name, operation, body, done, shorter)

    async def _say(
        self,
        name: str,
        operation: str,
        body: Mapping[str, Any],
        done: Callable[[], None],
        shorter: Callable[[], None],
    ) -> None:
        try:
            await self._send(name, operation, body)
        except CloudError as error:
            if transient(error) or error.status in {401, 403}:
                self._later(error)
            elif error.status == 413:
                shorter()
            else:
                self._log.error("Report of '%s': %s", name, error, extra=by(REPORTER))
                done()
        except (UnreachableError, AgentError) as error:
            self._later(error)
        except Exception as error:  # noqa: BLE001 - a bug must not end the loop
            self._log.exception("Report of '%s' failed", name, extra=by(REPORTER))
            self._later(error)
        else:
            self._circuits.succeeded()
            self._failures, self._not_before = 0, None
            done()

    async def _send(self, name: str, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        async with self._speaking:
            numbered = {"reportSeq": self._store.next_report(), **outcome.fitting(body)}
            if operation:
                answer = await self._service.operation(name, operation, numbered)
            else:
                answer = await self._service.status(name, numbered)
        what = str(body.get("state") or "status")
        text = "Report %d of '%s' was sent: %s"
        self._log.info(text, numbered["reportSeq"], name, what, extra=by(REPORTER))
        return answer

    # -- progress --------------------------------------------------------------------------------------------

    async def pick_up(self, extension: Extension) -> None:
        """Tell the service that an operation begins now.

        Raises:
            CloudError: the operation is not wanted any more, or the service refuses.
            UnreachableError, AgentError: nobody knows.
        """
        self._told[extension.name] = self._clock.now()
        body = self._progress_body(
            extension, "Downloading" if not extension.wanted.removal else "Uninstalling"
        )
        await self._send(extension.name, extension.wanted.operation_id, body)

    def _progress_body(self, extension: Extension, phase: str) -> dict[str, Any]:
        handler = self._store.handler(extension.wanted.handler)
        return outcome.progress(extension, handler, phase, f"{phase} {handler.name}", self._clock.now())

    def _due_progress(self, now: datetime) -> Extension | datetime | None:
        soonest: datetime | None = None
        for name in sorted(self._news):
            extension = self._store.get(name)
            work = extension.current if extension else None
            if extension is None or work is None or not work.goal.get("operation_id"):
                self._news.discard(name)
                continue
            at = self._told.get(name, now) + timedelta(seconds=COALESCED)
            if name not in self._told or at <= now:
                return extension
            soonest = at if soonest is None else min(soonest, at)
        return soonest

    async def _progress(self, extension: Extension) -> None:
        self._news.discard(extension.name)
        self._told[extension.name] = self._clock.now()
        work = extension.current
        if work is None:
            return
        body = self._progress_body(extension, work.phase)
        await self._say(extension.name, str(work.goal["operation_id"]), body, _nothing, _nothing)

    # -- how things are --------------------------------------------------------------------------------------

    def _due_period(self, now: datetime) -> Extension | datetime | None:
        soonest: datetime | None = None
        for extension in self._store:
            if extension.wanted.removal or not extension.result or extension.work is not None:
                self._next_period.pop(extension.name, None)
                continue
            at = self._next_period.get(extension.name)
            if at is None:
                at = self._next_period[extension.name] = now + timedelta(seconds=self._period())
            if at <= now:
                return extension
            soonest = at if soonest is None else min(soonest, at)
        return soonest

    async def _status(self, extension: Extension) -> None:
        self._next_period[extension.name] = self._clock.now() + timedelta(seconds=self._period())
        body = self._describe(extension)
        if body is not None:
            await self._say(extension.name, "", body, _nothing, _nothing)

    def _period(self) -> float:
        return PERIOD * (1.0 + JITTER * (2.0 * self._chance.random() - 1.0))

    # -- failures --------------------------------------------------------------------------------------------

    def _later(self, error: Exception) -> None:
        host = error.host if isinstance(error, CloudError | UnreachableError) else ""
        self._circuits.failed(host)
        if self._circuits.is_open(host):
            self._service.cut_off = True
        wait = BACKOFF.delay(self._failures, self._chance, asked_wait(error))
        self._failures += 1
        self._not_before = self._clock.now() + timedelta(seconds=wait)
        text = "Reports wait: %s. Next try in %d seconds"
        self._log.warning(text, error, int(wait), extra=by(REPORTER))


def _nothing() -> None:
    return None
