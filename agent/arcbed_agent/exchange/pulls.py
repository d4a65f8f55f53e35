"""The loop that asks what is wanted: once in a period, or when it is said that there is news."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from datetime import datetime
from typing import Final

from arcbed_agent.clock.timetable import Timetable, spread
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.errors import AgentError
from arcbed_agent.exchange.contact import Contact
from arcbed_agent.himds.backoff import GONE, BackOff, asked_wait, machine_is_gone, transient

#: ``docs/wire.md`` section 15.1, class C.
BACKOFF: Final = BackOff(10.0, 300.0)


class Pulls(ABC):
    """Keeps what is wanted as the service says; what that is, is a daemon's own.

    Args:
        name: of the clock task, ``machine/daemon/pull``.
        log: of this loop.

    Attributes:
        retried: HTTP statuses that a try a little later may not meet any more, besides 408, 429 and 5xx.
    """

    retried: frozenset[int] = frozenset({401, 404})

    def __init__(self, name: str, contact: Contact, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self._contact = contact
        self._task = contact.clock.task(name)
        self._times = Timetable(contact.clock, self._period)
        self._log = log
        self._gone = 0

    @property
    def next(self) -> datetime | None:
        """When the next pull is due; None while there is nothing to ask for."""
        return self._times.next

    def begin(self, vm_id: str) -> None:
        """The machine is connected: the first pull is spread over the period by its vmId."""
        self._gone = 0
        self._times.begin(vm_id)

    def end(self) -> None:
        """Nothing to ask for any more."""
        self._times.end()

    def now(self) -> None:
        """There is news."""
        self._times.now()

    def repace(self) -> None:
        """The configuration has changed; a shorter period holds at once."""
        self._times.repace()

    async def run(self) -> None:
        """Pull until cancelled."""
        async with self._task as task:
            while True:
                if await self._times.due(task):
                    await self._cycle()

    # -- what is a daemon's own ------------------------------------------------------------------------------

    @abstractmethod
    async def _pull(self) -> None:
        """Ask once; what comes back is on disk, and others know of it, when this returns.

        Raises:
            CloudError, UnreachableError, AgentError: it has not come back.
        """

    @abstractmethod
    def _failed(self, error: Exception, wait: float) -> None:
        """Note that a pull has failed and that the next one is `wait` seconds away."""

    @abstractmethod
    def _period(self) -> float:
        """Seconds between two pulls."""

    @abstractmethod
    def _jitter(self) -> float:
        """By what part (0 to 1) a period is longer or shorter at random."""

    # -- what is alike ---------------------------------------------------------------------------------------

    async def _cycle(self) -> None:
        if not self._contact.active():
            self._times.end()
            return
        try:
            await self._pull()
        except (CloudError, UnreachableError, AgentError) as error:
            wait = self._after_failure(error)
        except Exception as error:  # noqa: BLE001 - a bug or a full disk must not end the loop
            self._log.exception("Pull failed")
            wait = self._after_failure(error)
        else:
            self._contact.reached()
            self._gone = 0
            wait = self._spread_period()
        self._times.after(wait)

    def _after_failure(self, error: Exception) -> float:
        """Note the failure; answers the seconds until the next try."""
        wait = self._wait(error)
        self._failed(error, wait)
        return wait

    def _wait(self, error: Exception) -> float:
        period = self._spread_period()
        if machine_is_gone(error):
            self._gone += 1
            return GONE.delay(self._gone - 1, self._contact.chance)
        retried = transient(error) or (isinstance(error, CloudError) and error.status in self.retried)
        if not isinstance(error, CloudError | UnreachableError) or not retried:
            return period
        failures = self._contact.failed(error)
        asked = asked_wait(error) or 0.0
        if self._contact.service.cut_off:
            return max(period, asked)
        return max(min(BACKOFF.delay(failures - 1, self._contact.chance), period), asked)

    def _spread_period(self) -> float:
        return spread(self._period(), self._jitter(), self._contact.chance)
