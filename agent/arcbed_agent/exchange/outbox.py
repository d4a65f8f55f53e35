"""The loop that tells the service, one thing at a time. What has to arrive is on disk until it has."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.errors import AgentError
from arcbed_agent.exchange.contact import Contact
from arcbed_agent.himds.backoff import BackOff, asked_wait, transient

#: ``docs/wire.md`` section 15.1, class E.
BACKOFF: Final = BackOff(10.0, 900.0)

Item = TypeVar("Item")


class Outbox(ABC, Generic[Item]):
    """Sends what is waiting; what that is, is a daemon's own.

    Args:
        name: of the clock task, ``machine/daemon/report``.
        log: of this loop.
    """

    def __init__(self, name: str, contact: Contact, log: logging.LoggerAdapter[logging.Logger]) -> None:
        self._contact = contact
        self._task = contact.clock.task(name)
        self._log = log
        self._wake = asyncio.Event()
        self._failures = 0
        self._not_before: datetime | None = None

    def wake(self) -> None:
        """Something new is waiting."""
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
                if at is None or at > self._contact.clock.now():
                    await task.sleep_until(at, self._wake)

    # -- what is a daemon's own ------------------------------------------------------------------------------

    @abstractmethod
    def _next(self, now: datetime) -> Item | datetime | None:
        """What to send now, or when to look again; None: when something new is waiting."""

    @abstractmethod
    async def _send(self, item: Item) -> dict[str, Any]:
        """Send it; the service's answer.

        Raises:
            CloudError, UnreachableError, AgentError: it has not been accepted.
        """

    @abstractmethod
    def _accepted(self, item: Item, answer: dict[str, Any]) -> None:
        """The service has it: it waits no more."""

    @abstractmethod
    def _refused(self, item: Item, error: CloudError) -> bool:
        """The service does not want it: change it or give it up; True leaves it as it is, for a later try."""

    @abstractmethod
    def _named(self, item: Item) -> str:
        """Whose it is: the name of an assignment or extension."""

    # -- what is alike ---------------------------------------------------------------------------------------

    async def _round(self) -> datetime | None:
        """Send one thing, if there is one; when to look again."""
        now = self._contact.clock.now()
        if not self._contact.active() or self._contact.service.cut_off:
            return None
        if self._not_before and self._not_before > now:
            return self._not_before
        found = self._next(now)
        if found is None or isinstance(found, datetime):
            return found
        await self._deliver(found)
        return now

    async def _deliver(self, item: Item) -> None:
        try:
            await self._hand_over(item)
        except (CloudError, UnreachableError, AgentError) as error:
            self._later(error)
        except Exception as error:  # noqa: BLE001 - a bug or a full disk must not end the loop
            self._log.exception("Report of '%s' failed", self._named(item))
            self._later(error)

    async def _hand_over(self, item: Item) -> None:
        """Send it once; raises what another try later may help against."""
        try:
            answer = await self._send(item)
        except CloudError as error:
            if transient(error) or error.status == 401 or self._refused(item, error):
                raise
            return
        self._contact.reached()
        self._failures, self._not_before = 0, None
        self._accepted(item, answer)

    def _later(self, error: Exception) -> None:
        self._contact.failed(error)
        wait = BACKOFF.delay(self._failures, self._contact.chance, asked_wait(error))
        self._failures += 1
        self._not_before = self._contact.clock.now() + timedelta(seconds=wait)
        self._log.warning("Reports wait: %s. Next try in %d seconds", error, int(wait))
