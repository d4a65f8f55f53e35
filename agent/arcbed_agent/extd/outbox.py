"""What the service is told: progress and results of operations, and every 15 minutes how things are.

A result is on disk until the service has acknowledged it; progress is only told while it is news.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from arcbed_agent import exchange
from arcbed_agent.clock.timetable import spread
from arcbed_agent.cloud.transport import CloudError
from arcbed_agent.extd import outcome
from arcbed_agent.extd.records import Extension
from arcbed_agent.extd.service import ExtensionService
from arcbed_agent.extd.store import Store
from arcbed_agent.gc_logs import by

REPORTER: Final = "STATUS_REPORTER"
#: Seconds between two reports of progress of one operation.
COALESCED: Final = 5.0
#: Documented: every 15 minutes.
PERIOD: Final = 900.0
JITTER: Final = 0.1

#: What to say in a G6 of an extension now; None: nothing.
Describe = Callable[[Extension], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Message:
    """What is said of an extension once.

    Attributes:
        name: of the extension.
        operation: whose progress or result it is; empty: how the extension is.
        body: of the request, but for its number.
        kept: the report in the store that it was made of, which waits until it has arrived; empty: none does.
    """

    name: str
    operation: str
    body: Mapping[str, Any]
    kept: Mapping[str, Any] | None = None


class Outbox(exchange.Outbox[Message]):
    """Sends what is waiting: results first, then progress, then how things are.

    Args:
        name: of the clock task, ``machine/extd/report``.
        contact: shared with the pulls.
        describe: makes the body of a G6.
    """

    def __init__(
        self,
        *,
        name: str,
        contact: exchange.Contact,
        store: Store,
        service: ExtensionService,
        describe: Describe,
        log: logging.Logger,
    ) -> None:
        super().__init__(name, contact, logging.LoggerAdapter(log, by(REPORTER)))
        self._store = store
        self._service = service
        self._describe = describe
        self._speaking = asyncio.Lock()
        self._told: dict[str, datetime] = {}
        self._news: set[str] = set()
        self._next_period: dict[str, datetime] = {}

    def progress(self, name: str) -> None:
        """The operation of an extension is in another phase."""
        self._news.add(name)
        self.wake()

    async def pick_up(self, extension: Extension) -> None:
        """Tell the service that an operation begins now.

        Raises:
            CloudError: the operation is not wanted any more, or the service refuses.
            UnreachableError, AgentError: nobody knows.
        """
        self._told[extension.name] = self._contact.clock.now()
        body = self._progress_body(
            extension, "Downloading" if not extension.wanted.removal else "Uninstalling"
        )
        await self._send(Message(extension.name, extension.wanted.operation_id, body))

    def _next(self, now: datetime) -> Message | datetime | None:
        for extension in self._store:
            if extension.report is not None:
                return _result(extension.name, extension.report)
        progress = self._due_progress(now)
        if isinstance(progress, Message):
            return progress
        periodic = self._due_period(now)
        if isinstance(periodic, Message):
            return periodic
        return min((at for at in (progress, periodic) if at is not None), default=None)

    async def _send(self, item: Message) -> dict[str, Any]:
        async with self._speaking:
            numbered = {"reportSeq": self._store.next_report(), **outcome.fitting(item.body)}
            if item.operation:
                answer = await self._service.operation(item.name, item.operation, numbered)
            else:
                answer = await self._service.status(item.name, numbered)
        what = str(item.body.get("state") or "status")
        self._log.info("Report %d of '%s' was sent: %s", numbered["reportSeq"], item.name, what)
        return answer

    def _accepted(self, item: Message, answer: dict[str, Any]) -> None:  # noqa: ARG002 - it says nothing
        self._replace(item, None)

    def _refused(self, item: Message, error: CloudError) -> bool:
        if error.status == 403:
            return True
        if error.status != 413:
            self._log.error("Report of '%s': %s", item.name, error)
        shorter = error.status == 413 and item.kept is not None and not item.kept.get("truncated")
        self._replace(item, outcome.shortened(item.kept) if shorter and item.kept else None)
        return False

    def _named(self, item: Message) -> str:
        return item.name

    def _replace(self, item: Message, report: dict[str, Any] | None) -> None:
        """Keep `report` in place of what was sent, unless a newer one has taken its place."""
        now = self._store.get(item.name)
        if item.kept is not None and now is not None and now.report == item.kept:
            self._store.put(replace(now, report=report))

    # -- progress --------------------------------------------------------------------------------------------

    def _progress_body(self, extension: Extension, phase: str) -> dict[str, Any]:
        handler = self._store.handler(extension.wanted.handler)
        return outcome.progress(
            extension, handler, phase, f"{phase} {handler.name}", self._contact.clock.now()
        )

    def _due_progress(self, now: datetime) -> Message | datetime | None:
        soonest: datetime | None = None
        for name in sorted(self._news):
            extension = self._store.get(name)
            work = extension.current if extension else None
            if extension is None or work is None or not work.goal.get("operation_id"):
                self._news.discard(name)
                continue
            at = self._told.get(name, now) + timedelta(seconds=COALESCED)
            if name not in self._told or at <= now:
                self._news.discard(name)
                self._told[name] = now
                return Message(
                    name, str(work.goal["operation_id"]), self._progress_body(extension, work.phase)
                )
            soonest = at if soonest is None else min(soonest, at)
        return soonest

    # -- how things are --------------------------------------------------------------------------------------

    def _due_period(self, now: datetime) -> Message | datetime | None:
        soonest: datetime | None = None
        for extension in self._store:
            if extension.wanted.removal or not extension.result or extension.work is not None:
                self._next_period.pop(extension.name, None)
                continue
            at = self._next_period.get(extension.name)
            due = at is not None and at <= now
            if at is None or due:
                at = self._next_period[extension.name] = now + timedelta(seconds=self._period())
            if due and (body := self._describe(extension)) is not None:
                return Message(extension.name, "", body)
            soonest = at if soonest is None else min(soonest, at)
        return soonest

    def _period(self) -> float:
        return spread(PERIOD, JITTER, self._contact.chance)


def _result(name: str, report: Mapping[str, Any]) -> Message:
    body = {key: value for key, value in report.items() if key != "operationId"}
    return Message(name, str(report.get("operationId") or ""), body, report)
