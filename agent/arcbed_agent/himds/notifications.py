"""The channel on which the cloud says that there is news: ``docs/wire.md``, section 13.

It is kept open for as long as the machine is connected. What is said on it is a hint; without it, everybody
polls.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from arcbed_agent.clock import Clock, ClockTask
from arcbed_agent.cloud import notifications
from arcbed_agent.cloud.notifications import Channel, Notification
from arcbed_agent.cloud.proxies import proxy_in_effect
from arcbed_agent.cloud.relay import Handler, Listener, Request
from arcbed_agent.cloud.routes import trust
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.config import AgentConfig, LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.backoff import GONE, BackOff, asked_wait, identity_is_over, machine_is_gone
from arcbed_agent.himds.peers import Tell
from arcbed_agent.himds.tokens import SERVICES, MachineTokens
from arcbed_agent.himds.uplink import Uplink
from arcbed_agent.logging import fields

#: ``docs/wire.md`` section 15.1, class G.
BACKOFF: Final = BackOff(5.0, 300.0)
#: How long a notification that was seen is known.
REMEMBERED: Final = timedelta(minutes=10)
#: Real seconds after which a channel counts as one that works.
STEADY: Final = 5.0
#: How much of a token's life passes before it is renewed, and the least real seconds between two tries.
_RENEW: Final = 0.8
_PATIENCE: Final = 10.0
_EXPIRED: Final = 1008
_FAULT: Final = 1011
_JITTER: Final = 0.2
_CAP: Final = 8_192
_WORDS: Final = {"extensions": "pull extensions", "assignments": "pull"}
#: Kinds that the next heartbeat's answer is about.
_BEATEN: Final = frozenset({"heartbeat", "identity", "config", "machineDeleted"})


class Ear(Protocol):
    """A channel that is open; see `Listener`."""

    async def listen(self, handler: Handler) -> int:
        """Hand over requests until it is closed; answers the code."""

    async def renew(self, token: str) -> None:
        """Go on with a new token."""

    async def close(self) -> None:
        """Listen no more."""


Dial = Callable[[Channel, LocalConfig, float], Awaitable[Ear]]


class Notifications:
    """Keeps the channel open and passes on what is said.

    Args:
        name: of the daemon, ``machine/himds``.
        config: what the machine is connected as.
        tell: says to the other daemons that there is news for them.
        beat: makes the next heartbeat due.
        dial: opens a channel, with so many seconds between pings; None is the network's way.
    """

    def __init__(
        self,
        *,
        name: str,
        instance_id: str,
        clock: Clock,
        chance: random.Random,
        uplink: Uplink,
        tokens: MachineTokens,
        config: Callable[[], AgentConfig],
        tell: Tell,
        beat: Callable[[], None],
        log: logging.Logger,
        dial: Dial | None = None,
    ) -> None:
        self._name = name
        self._task = clock.task(f"{name}/channel")
        self._instance_id = instance_id
        self._clock = clock
        # Of its own: what it draws depends on when the network answers.
        self._chance = random.Random(chance.getrandbits(64))  # noqa: S311 - spreads, not keys
        self._uplink = uplink
        self._tokens = tokens
        self._config = config
        self._tell = tell
        self._beat = beat
        self._log = log
        self._dial = dial or self._over_the_network
        self._wake = asyncio.Event()
        self._moved = True
        self._failures = 0
        self._seen: dict[str, datetime] = {}
        self._works: set[asyncio.Task[None]] = set()
        self.next: datetime | None = None
        self.open = False

    def follow(self) -> None:
        """The machine, or how it reaches the cloud, may have changed: begin anew."""
        self._moved = True
        self._wake.set()

    async def run(self) -> None:
        """Listen until cancelled."""
        opened = False
        try:
            async with self._task as task:
                while True:
                    await self._due(task)
                    if await self._once(task, again=opened):
                        opened = True
        finally:
            for work in self._works:
                work.cancel()
            await asyncio.gather(*self._works, return_exceptions=True)

    async def _due(self, task: ClockTask) -> None:
        """Return when the machine is connected and a try is due."""
        while True:
            self._wake.clear()
            if self._moved:
                # Not before whoever has changed the machine has come to rest.
                self._moved, self._failures, self.next = False, 0, self._clock.now()
            due = self.next if self._config().connected else None
            if not await task.sleep_until(due, self._wake):
                return

    async def _once(self, task: ClockTask, *, again: bool) -> bool:
        """One channel, from its opening to its end; whether it was opened."""
        machine = self._config()
        try:
            gns = (await self._uplink.directory.endpoints(machine.cloud)).gns
            if not gns:
                self._log.debug("This cloud has no notification service")
                await task.sleep_until(None, self._wake)
                return False
            channel = await self._ask(gns, machine)
            ear = await self._dial(channel, self._uplink.config, self._pings(channel))
        except (AgentError, CloudError, UnreachableError) as error:
            self._put_off(error)
            return False
        except Exception as error:  # noqa: BLE001 - a bug must not end the loop
            self._log.exception("Notification channel failed")
            self._put_off(error)
            return False
        self._log.info("Notification channel is open", extra=fields(Relay=channel.address))
        if again:
            self._spawn(self._pull_all())
        await self._hold(task, ear, channel, machine, gns)
        return True

    async def _hold(
        self, task: ClockTask, ear: Ear, channel: Channel, machine: AgentConfig, gns: str
    ) -> None:
        """Sleep while the channel is open."""
        self.open = True
        since = self._clock.monotonic()
        serving = asyncio.ensure_future(self._serve(ear, channel, machine, gns))
        serving.add_done_callback(lambda _: self._wake.set())
        try:
            while not serving.done() and not self._moved:
                await task.sleep_until(None, self._wake)
                if not serving.done():
                    self._wake.clear()
        finally:
            self.open = False
            if not serving.done():
                serving.cancel()
                with suppress(asyncio.CancelledError):
                    await serving
            await ear.close()
        if not self._moved:
            self._failures = 0 if self._clock.monotonic() - since >= STEADY else self._failures + 1
            code = _FAULT if serving.exception() else serving.result()
            self._after_drop(code, channel)

    async def _serve(self, ear: Ear, channel: Channel, machine: AgentConfig, gns: str) -> int:
        """Listen, and renew the token in time; answers the code that the channel was closed with."""
        listening = asyncio.ensure_future(ear.listen(self._take))
        try:
            while True:
                left = channel.expires - self._clock.wall()
                await asyncio.wait({listening}, timeout=max(_PATIENCE, left * _RENEW))
                if listening.done():
                    return listening.result()
                channel = await self._renewed(ear, channel, machine, gns)
        finally:
            listening.cancel()

    async def _renewed(self, ear: Ear, channel: Channel, machine: AgentConfig, gns: str) -> Channel:
        async with self._clock.task(f"{self._name}/channel-renewal"):
            try:
                fresh = await self._ask(gns, machine)
            except (AgentError, CloudError, UnreachableError) as error:
                self._log.warning("Notification channel was not renewed", extra=fields(Error=error))
                return channel
            await ear.renew(fresh.token)
            return fresh

    async def _ask(self, gns: str, machine: AgentConfig) -> Channel:
        for bypass in (False, True):
            token = await self._tokens.get(SERVICES, bypass_cache=bypass)
            try:
                return await notifications.channel(
                    self._uplink.transport, gns, machine.vm_id, token.value, self._instance_id
                )
            except CloudError as error:
                if error.status != 401 or bypass:
                    raise
        raise AssertionError  # the second try answers or raises

    async def _over_the_network(self, channel: Channel, config: LocalConfig, pings: float) -> Listener:
        proxy: str | Literal[True] = proxy_in_effect(config) if config.text("proxy.url") else True
        return await Listener.dial(
            channel.url,
            channel.token,
            context=trust(config),
            proxy=proxy,
            ping_seconds=pings,
            log=self._log,
        )

    # -- when it does not work -------------------------------------------------------------------------------

    def _pings(self, channel: Channel) -> float:
        return channel.ping_seconds * (1.0 + _JITTER * (2.0 * self._chance.random() - 1.0))

    def _put_off(self, error: Exception) -> None:
        patience = GONE if machine_is_gone(error) or identity_is_over(error) else BACKOFF
        wait = patience.delay(self._failures, self._chance, asked_wait(error))
        self._failures += 1
        self.next = self._clock.now() + timedelta(seconds=wait)
        self._log.warning(
            "Notification channel cannot be opened, polling goes on",
            extra=fields({"Error": error, "Next Try Seconds": int(wait)}),
        )

    def _after_drop(self, code: int, channel: Channel) -> None:
        if self._failures > 1:
            wait = BACKOFF.delay(self._failures, self._chance)
        else:
            wait = 0.0 if code == _EXPIRED else self._chance.random() * channel.spread_seconds
        self.next = self._clock.now() + timedelta(seconds=wait)
        self._log.info(
            "Notification channel was closed", extra=fields({"Code": code, "Next Try Seconds": int(wait)})
        )

    # -- what is said ----------------------------------------------------------------------------------------

    async def _take(self, request: Request) -> int:
        """Answer a request of the relay; what it asks for is done afterwards."""
        if request.method.upper() != "POST" or len(request.body) > _CAP:
            return 405 if request.method.upper() != "POST" else 413
        try:
            news = Notification.read(request.body)
        except ValueError as error:
            self._log.warning("A notification cannot be read", extra=fields(Error=error))
            return 400
        if self._fresh(news):
            held = asyncio.Event()
            self._spawn(self._pass_on(news, held))
            # Whoever sent it lets time go on after the answer.
            await held.wait()
        return 202

    def _fresh(self, news: Notification) -> bool:
        now = self._clock.now()
        self._seen = {number: until for number, until in self._seen.items() if until > now}
        if news.number in self._seen or news.until < now:
            return False
        self._seen[news.number] = now + REMEMBERED
        return True

    async def _pass_on(self, news: Notification, held: asyncio.Event) -> None:
        try:
            async with self._clock.task(f"{self._name}/news") as task:
                held.set()
                if news.spread_seconds:
                    await task.sleep(news.spread_seconds * self._chance.random())
                self._log.debug("Notification", extra=fields(Kind=news.kind, Generation=news.generation))
                if word := _WORDS.get(news.kind):
                    await self._tell(word)
                elif news.kind in _BEATEN:
                    self._beat()
        finally:
            held.set()

    async def _pull_all(self) -> None:
        """Something may have been said while nobody listened."""
        async with self._clock.task(f"{self._name}/news"):
            for word in _WORDS.values():
                await self._tell(word)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)
