"""The loop that asks for assignments: every five minutes, or when himds says that there is news."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.gas import Pull
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.errors import AgentError
from arcbed_agent.gcad import desired
from arcbed_agent.gcad.logs import DISPATCHER, PULL, by
from arcbed_agent.gcad.records import PERIOD, Changes, Sync, written
from arcbed_agent.gcad.service import Service
from arcbed_agent.gcad.store import Store
from arcbed_agent.himds.backoff import GONE, BackOff, Circuits, asked_wait, machine_is_gone, transient

#: ``docs/wire.md`` section 15.1, class C.
BACKOFF: Final = BackOff(10.0, 300.0)


class Pulls:
    """Keeps the store as the service wants it.

    Args:
        name: of the clock task, ``machine/gcad/pull``.
        circuits: which hosts have failed too often, shared with the reports.
        active: whether the agent may work at all.
        changed: told after each answer what it has changed.
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
        changed: Callable[[Changes], None],
        log: logging.Logger,
    ) -> None:
        self._clock = clock
        self._task = clock.task(name)
        self._chance = chance
        self._store = store
        self._service = service
        self._circuits = circuits
        self._active = active
        self._changed = changed
        self._log = log
        self._pace = PERIOD
        self._gone = 0
        self._wake = asyncio.Event()
        self.next: datetime | None = None

    def begin(self, vm_id: str) -> None:
        """The machine is connected: the first pull is spread over the period by its vmId."""
        number = int.from_bytes(hashlib.sha256(vm_id.encode()).digest()[:8], "big")
        self._gone = 0
        self._schedule(number % max(1, int(self._period() * 1_000)) / 1_000)

    def end(self) -> None:
        """Nothing to ask for any more."""
        self.next = None
        self._wake.set()

    def now(self) -> None:
        """There is news."""
        if self.next is not None:
            self._schedule(0.0)

    def repace(self) -> None:
        """The configuration has changed; a shorter period holds at once."""
        if self.next is not None:
            self.next = min(self.next, self._clock.now() + timedelta(seconds=self._period()))
            self._wake.set()

    async def run(self) -> None:
        """Pull until cancelled."""
        async with self._task as task:
            while True:
                self._wake.clear()
                if not await task.sleep_until(self.next, self._wake):
                    await self._cycle()

    async def _cycle(self) -> None:
        if not self._active():
            self.next = None
            return
        try:
            changes = await self._pull()
        except (CloudError, UnreachableError, AgentError) as error:
            self._schedule(self._after_failure(error))
        except Exception as error:  # noqa: BLE001 - a bug or a full disk must not end the loop
            self._log.exception("Pull failed", extra=by(PULL))
            self._schedule(self._after_failure(error))
        else:
            self._circuits.succeeded()
            self._gone = 0
            self._schedule(self._period() * self._spread())
            self._changed(changes)

    async def _pull(self) -> Changes:
        """Ask once; what comes back is on disk when this returns."""
        asked = self._clock.now()
        sync = self._store.sync
        gap = sync.gap(asked)
        after = self._service.config.number("gcad.reapplyAfterSeconds") or sync.reapply_after_seconds
        back = gap is not None and gap >= timedelta(seconds=after)
        self._log.info("Getting assignments from the service", extra=by(PULL))
        pull = await self._service.pull("" if back else sync.etag)
        self._pace = pull.next_seconds if pull.next_seconds and pull.next_seconds > 0 else PERIOD
        again = back and self._service.config.text("gcad.reapply") == "pending"
        changes = self._take(pull, reapply=again)
        self._store.keep_sync(self._synced(pull, asked))
        self._log.info(
            "Assignments were received, return code %d", 200 if pull.document else 304, extra=by(PULL)
        )
        if back and gap is not None:
            text = "Machine is back after %d seconds, assignments are applied again"
            self._log.info(text, int(gap.total_seconds()), extra=by(DISPATCHER))
        return changes

    def _take(self, pull: Pull, *, reapply: bool) -> Changes:
        if pull.document is None:
            desired.retry(self._store)
            return Changes()
        changes = desired.apply(self._store, pull.document, reapply=reapply)
        for name in changes.gone:
            self._log.info("Assignment '%s' was removed", name, extra=by(DISPATCHER))
        for name in changes.refused:
            self._log.error("Assignment '%s' cannot be used", name, extra=by(DISPATCHER))
        for name in pull.document.get("dropped") or []:
            text = "Assignment '%s' is not reassigned: the machine was away for too long"
            self._log.warning(text, name, extra=by(DISPATCHER))
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

    def _after_failure(self, error: Exception) -> float:
        """Note the failure; answers the seconds until the next try."""
        if (
            isinstance(error, CloudError)
            and error.status == 404
            and error.code == "AgentServiceEndpointNotFound"
        ):
            self._log.error("Failed to get regional end_point info. Status Code '404'", extra=by(PULL))
        wait = self._wait(error)
        self._log.error(
            "Failed to update assignments: %s. Next try in %d seconds", error, int(wait), extra=by(PULL)
        )
        return wait

    def _wait(self, error: Exception) -> float:
        period = self._period() * self._spread()
        if machine_is_gone(error):
            self._gone += 1
            return GONE.delay(self._gone - 1, self._chance)
        retried = transient(error) or (isinstance(error, CloudError) and error.status in {401, 404, 412})
        if not isinstance(error, CloudError | UnreachableError) or not retried:
            return period
        already = self._service.cut_off
        failures = self._circuits.failed(error.host)
        if already or self._circuits.is_open(error.host):
            self._service.cut_off = True
            return max(period, asked_wait(error) or 0.0)
        return max(min(BACKOFF.delay(failures - 1, self._chance), period), asked_wait(error) or 0.0)

    def _period(self) -> float:
        return float(self._service.config.number("gcad.pullSeconds") or self._pace)

    def _spread(self) -> float:
        jitter = self._service.config.number("gcad.jitterPercent") / 100
        return 1.0 + jitter * (2.0 * self._chance.random() - 1.0)

    def _schedule(self, seconds: float) -> None:
        self.next = self._clock.now() + timedelta(seconds=seconds)
        self._wake.set()


def _seconds(said: object, kept: int) -> int:
    """What the service says, if it is a length of time."""
    return said if isinstance(said, int) and said > 0 else kept
