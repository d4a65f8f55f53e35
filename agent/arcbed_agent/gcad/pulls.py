"""What is assigned: asked for every five minutes, or when himds says that there is news."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from arcbed_agent import exchange
from arcbed_agent.cloud.gas import Pull
from arcbed_agent.cloud.transport import CloudError
from arcbed_agent.gc_logs import DISPATCHER, PULL, by
from arcbed_agent.gcad import desired
from arcbed_agent.gcad.records import PERIOD, Changes, Sync, written
from arcbed_agent.gcad.service import PolicyService
from arcbed_agent.gcad.store import Store


class Pulls(exchange.Pulls):
    """Keeps the store as the service wants it.

    Args:
        name: of the clock task, ``machine/gcad/pull``.
        contact: shared with the reports.
        changed: told after each answer what it has changed.
    """

    retried = frozenset({401, 404, 412})

    def __init__(
        self,
        *,
        name: str,
        contact: exchange.Contact,
        store: Store,
        service: PolicyService,
        changed: Callable[[Changes], None],
        log: logging.Logger,
    ) -> None:
        super().__init__(name, contact, logging.LoggerAdapter(log, by(PULL)))
        self._clock = contact.clock
        self._store = store
        self._service = service
        self._changed = changed
        self._dispatcher = logging.LoggerAdapter(log, by(DISPATCHER))
        self._pace = PERIOD

    async def _pull(self) -> None:
        self._changed(await self._ask())

    async def _ask(self) -> Changes:
        """Ask once; what comes back is on disk when this returns."""
        asked = self._clock.now()
        sync = self._store.sync
        gap = sync.gap(asked)
        after = self._service.config.number("gcad.reapplyAfterSeconds") or sync.reapply_after_seconds
        back = gap is not None and gap >= timedelta(seconds=after)
        self._log.info("Getting assignments from the service")
        pull = await self._service.pull("" if back else sync.etag)
        self._pace = pull.next_seconds if pull.next_seconds and pull.next_seconds > 0 else PERIOD
        again = back and self._service.config.text("gcad.reapply") == "pending"
        changes = self._take(pull, reapply=again)
        self._store.keep_sync(self._synced(pull, asked))
        self._log.info("Assignments were received, return code %d", 200 if pull.document else 304)
        if back and gap is not None:
            text = "Machine is back after %d seconds, assignments are applied again"
            self._dispatcher.info(text, int(gap.total_seconds()))
        return changes

    def _take(self, pull: Pull, *, reapply: bool) -> Changes:
        if pull.document is None:
            desired.retry(self._store)
            return Changes()
        changes = desired.apply(self._store, pull.document, reapply=reapply)
        for name in changes.gone:
            self._dispatcher.info("Assignment '%s' was removed", name)
        for name in changes.refused:
            self._dispatcher.error("Assignment '%s' cannot be used", name)
        for name in pull.document.get("dropped") or []:
            text = "Assignment '%s' is not reassigned: the machine was away for too long"
            self._dispatcher.warning(text, name)
        return changes

    def _synced(self, pull: Pull, asked: datetime) -> Sync:
        kept = self._store.sync
        said = pull.document or {}
        return replace(
            kept,
            last=written(asked),
            etag=pull.etag,
            vm_id=self._service.machine.vm_id,
            retention_seconds=_seconds(said.get("retentionSeconds"), kept.retention_seconds),
            reapply_after_seconds=_seconds(said.get("reapplyAfterSeconds"), kept.reapply_after_seconds),
            purged="" if pull.document else kept.purged,
        )

    def _failed(self, error: Exception, wait: float) -> None:
        if (
            isinstance(error, CloudError)
            and error.status == 404
            and error.code == "AgentServiceEndpointNotFound"
        ):
            self._log.error("Failed to get regional end_point info. Status Code '404'")
        self._log.error("Failed to update assignments: %s. Next try in %d seconds", error, int(wait))

    def _period(self) -> float:
        return float(self._service.config.number("gcad.pullSeconds") or self._pace)

    def _jitter(self) -> float:
        return self._service.config.number("gcad.jitterPercent") / 100


def _seconds(said: object, kept: int) -> int:
    """What the service says, if it is a length of time."""
    return said if isinstance(said, int) and said > 0 else kept
