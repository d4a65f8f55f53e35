"""The loop that asks for the goal state: every five minutes, or when it is said that there is news."""

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
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.errors import AgentError
from arcbed_agent.extd import desired
from arcbed_agent.extd.desired import Changes
from arcbed_agent.extd.goal import Goal, Package
from arcbed_agent.extd.secrets import Secrets
from arcbed_agent.extd.service import ExtensionService
from arcbed_agent.extd.store import Store
from arcbed_agent.extd.vault import Vault
from arcbed_agent.gcad.logs import PULL, by
from arcbed_agent.himds.backoff import GONE, BackOff, Circuits, asked_wait, machine_is_gone, transient
from arcbed_agent.himds.state import rfc3339

PERIOD: Final = 300.0
#: ``docs/wire.md`` section 15.1, class C.
BACKOFF: Final = BackOff(10.0, 300.0)
JITTER: Final = 0.1


class Pulls:
    """Keeps the goals in the store as the service wants them.

    Args:
        name: of the clock task, ``machine/extd/pull``.
        circuits: which hosts have failed too often, shared with the reports.
        active: whether the manager may work at all.
        changed: told after each answer what was new.
    """

    def __init__(
        self,
        *,
        name: str,
        clock: Clock,
        chance: random.Random,
        store: Store,
        vault: Vault,
        secrets: Secrets,
        service: ExtensionService,
        circuits: Circuits,
        active: Callable[[], bool],
        changed: Callable[[Changes], None],
        log: logging.Logger,
    ) -> None:
        self._clock = clock
        self._task = clock.task(name)
        self._chance = chance
        self._store = store
        self._vault = vault
        self._secrets = secrets
        self._service = service
        self._circuits = circuits
        self._active = active
        self._changed = changed
        self._log = log
        self._pace = PERIOD
        self._gone = 0
        self._wake = asyncio.Event()
        self._asking = asyncio.Lock()
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

    async def refresh(self, goal: Goal) -> Package | None:
        """Ask without regard to what is known; the package of `goal` as it is now.

        Raises:
            CloudError, UnreachableError, AgentError: nobody knows.
        """
        changes = await self._ask("")
        self._changed(changes)
        found = self._store.get(goal.name)
        return found.wanted.package if found and found.wanted.target == goal.target else None

    async def _cycle(self) -> None:
        if not self._active():
            self.next = None
            return
        scheduled = self.next
        try:
            changes = await self._ask(self._store.sync.etag)
        except (CloudError, UnreachableError, AgentError) as error:
            wait = self._after_failure(error)
        except Exception as error:  # noqa: BLE001 - a bug or a full disk must not end the loop
            self._log.exception("Pull failed", extra=by(PULL))
            wait = self._after_failure(error)
        else:
            self._circuits.succeeded()
            self._gone = 0
            wait = self._period() * self._spread()
            self._changed(changes)
        # News that came while this pull was under way asks for another one.
        if self.next == scheduled:
            self._schedule(wait)

    async def _ask(self, etag: str) -> Changes:
        """Ask once; what comes back is on disk when this returns."""
        async with self._asking:
            self._log.info("Getting the extension goal state from the service", extra=by(PULL))
            pull = await self._service.pull(etag)
            self._pace = float(pull.next_seconds) if pull.next_seconds and pull.next_seconds > 0 else PERIOD
            changes = Changes()
            if pull.document is not None:
                changes = desired.apply(self._store, pull.document, self._vault, self._secrets)
            self._note(changes)
            self._store.keep_sync(
                replace(
                    self._store.sync,
                    last=rfc3339(self._clock.now()),
                    etag=pull.etag,
                    vm_id=self._service.machine.vm_id,
                )
            )
            code = 304 if pull.document is None else 200
            self._log.info("Goal state was received, return code %d", code, extra=by(PULL))
            return changes

    def _note(self, changes: Changes) -> None:
        for name in changes.wanted:
            self._log.info("Extension '%s' has a new goal", name, extra=by(PULL))
        for name in changes.gone:
            self._log.info("Extension '%s' is not wanted any more", name, extra=by(PULL))
        for text in changes.refused:
            self._log.error("Item of the goal state cannot be used: %s", text, extra=by(PULL))

    def _after_failure(self, error: Exception) -> float:
        """Note the failure; answers the seconds until the next try."""
        wait = self._wait(error)
        text = "Failed to get the goal state: %s. Next try in %d seconds"
        self._log.error(text, error, int(wait), extra=by(PULL))
        return wait

    def _wait(self, error: Exception) -> float:
        period = self._period() * self._spread()
        if machine_is_gone(error):
            self._gone += 1
            return GONE.delay(self._gone - 1, self._chance)
        retried = transient(error) or (isinstance(error, CloudError) and error.status in {401, 404})
        if not isinstance(error, CloudError | UnreachableError) or not retried:
            return period
        already = self._service.cut_off
        failures = self._circuits.failed(error.host)
        if already or self._circuits.is_open(error.host):
            self._service.cut_off = True
            return max(period, asked_wait(error) or 0.0)
        return max(min(BACKOFF.delay(failures - 1, self._chance), period), asked_wait(error) or 0.0)

    def _period(self) -> float:
        return float(self._service.config.number("extd.pullSeconds") or self._pace)

    def _spread(self) -> float:
        return 1.0 + JITTER * (2.0 * self._chance.random() - 1.0)

    def _schedule(self, seconds: float) -> None:
        self.next = self._clock.now() + timedelta(seconds=seconds)
        self._wake.set()
