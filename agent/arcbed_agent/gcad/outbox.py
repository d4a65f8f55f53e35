"""The reports that are handed in; of each assignment the newest only, the oldest assignment first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from arcbed_agent import exchange
from arcbed_agent.cloud.transport import CloudError
from arcbed_agent.gc_logs import DISPATCHER, by
from arcbed_agent.gcad import reports
from arcbed_agent.gcad.records import Assignment
from arcbed_agent.gcad.service import PolicyService
from arcbed_agent.gcad.store import Store


class Outbox(exchange.Outbox[Assignment]):
    """Sends the reports that wait beside their assignments in the store.

    Args:
        name: of the clock task, ``machine/gcad/report``.
        contact: shared with the pulls.
        deleted: told of an assignment that the service does not know any more.
    """

    def __init__(
        self,
        *,
        name: str,
        contact: exchange.Contact,
        store: Store,
        service: PolicyService,
        deleted: Callable[[str], None],
        log: logging.Logger,
    ) -> None:
        super().__init__(name, contact, logging.LoggerAdapter(log, by(DISPATCHER)))
        self._store = store
        self._service = service
        self._deleted = deleted

    def _next(self, now: datetime) -> Assignment | None:  # noqa: ARG002 - nothing here waits for a time
        waiting = [item for item in self._store if item.report is not None]
        return min(waiting, key=lambda item: (item.told_at, item.name), default=None)

    async def _send(self, item: Assignment) -> dict[str, Any]:
        return await self._service.report(item.report or {})

    def _accepted(self, item: Assignment, answer: dict[str, Any]) -> None:
        self._done(item)
        job = (item.report or {}).get("jobId")
        how = "" if answer.get("applied", True) else ", for an older version"
        self._log.info("Report %s of '%s' was accepted%s", job, item.name, how)

    def _refused(self, item: Assignment, error: CloudError) -> bool:
        self._log.error("Report of '%s': %s", item.name, error)
        report = item.report or {}
        if error.status == 404 and error.code == "AssignmentNotFound":
            self._store.remove(item.name)
            self._deleted(item.name)
        elif error.status == 413 and not report.get("truncated"):
            self._store.put(replace(item, report=reports.shortened(report)))
        elif error.status in {403, 404}:
            return True
        else:
            self._done(item)
        return False

    def _named(self, item: Assignment) -> str:
        return item.name

    def _done(self, assignment: Assignment) -> None:
        """Forget the report, unless a newer one has taken its place."""
        now = self._store.get(assignment.name)
        if now is not None and now.report == assignment.report:
            self._store.put(replace(now, report=None))
