"""The loop that sends heartbeats: when the next is due after a success and after each kind of failure."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import datetime
from typing import Any, Final

from arcbed_agent.clock import Clock
from arcbed_agent.clock.timetable import Timetable, spread
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.config import AgentConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.backoff import (
    GONE,
    HEARTBEAT,
    Circuits,
    asked_wait,
    identity_is_over,
    machine_is_gone,
    transient,
)
from arcbed_agent.himds.heartbeat import Heartbeat
from arcbed_agent.himds.identity import Identity
from arcbed_agent.himds.peers import Tell
from arcbed_agent.himds.renewal import Renewal
from arcbed_agent.himds.state import StateFile
from arcbed_agent.himds.uplink import Uplink
from arcbed_agent.logging import fields

PERIOD: Final = 300.0


class Pulse:
    """Sleeps until the next heartbeat is due; for ever while the machine is not connected.

    Args:
        busy: held by whoever changes what this machine is; no heartbeat is sent meanwhile.
        name: of the clock task, ``machine/himds/heartbeat``.
        tell: says to the other daemons that the service has news.
    """

    def __init__(
        self,
        *,
        name: str,
        clock: Clock,
        chance: random.Random,
        uplink: Uplink,
        heartbeat: Heartbeat,
        renewal: Renewal,
        identity: Identity,
        state: StateFile,
        busy: asyncio.Lock,
        tell: Tell,
        log: logging.Logger,
    ) -> None:
        self._clock = clock
        self._task = clock.task(name)
        self._chance = chance
        self._uplink = uplink
        self._heartbeat = heartbeat
        self._renewal = renewal
        self._identity = identity
        self._state = state
        self._busy = busy
        self._tell = tell
        self._log = log
        self._circuits = Circuits()
        self._gone = 0
        self._pace = PERIOD
        self._times = Timetable(clock, self._period)
        self._config = AgentConfig()

    @property
    def next(self) -> datetime | None:
        """When the next heartbeat is due; None while the machine is not connected."""
        return self._times.next

    def begin(self, config: AgentConfig, *, beaten: bool = False) -> None:
        """The machine is connected as `config`; the first tick is spread over the period by its vmId.

        Args:
            config: what the machine is.
            beaten: the first heartbeat has just been sent, so the next one is a period away.
        """
        self._config = config
        self._gone = 0
        self._circuits.succeeded()
        if beaten:
            self._follow(self._heartbeat.answered)
            self._times.begin_in(self._spread_period())
        else:
            self._times.begin(config.vm_id)

    def end(self) -> None:
        """The machine is not connected any more."""
        self._config = AgentConfig()
        self._times.end()

    def now(self) -> None:
        """The service wants a heartbeat."""
        self._times.now()

    def repace(self) -> None:
        """The local configuration has changed; a shorter period holds at once."""
        self._times.repace()

    def first_tick(self, vm_id: str) -> float:
        """Seconds after the start: the same for a vmId, spread over the period for many."""
        return self._times.first(vm_id)

    async def run(self) -> None:
        """Beat until cancelled."""
        async with self._task as task:
            while True:
                if await self._times.due(task):
                    await self._cycle()

    async def _cycle(self) -> None:
        config = self._config
        if not config.connected:
            self._times.end()
            return
        if self._busy.locked():
            self._times.after(self._spread_period())
            return
        async with self._busy:
            before = dict(self._state.value.generations)
            try:
                answer = await self._heartbeat.send(config)
            except (CloudError, UnreachableError, AgentError) as error:
                self._times.after(self._after_failure(error))
                return
            except Exception as error:  # noqa: BLE001 - a bug or a broken disk must not end the loop
                self._log.exception("Heartbeat failed")
                self._times.after(self._after_failure(error))
                return
            self._after_success(answer)
            for kind, word in (("assignments", "pull"), ("extensions", "pull extensions")):
                if kind in before and self._state.value.generations.get(kind) != before[kind]:
                    await self._tell(word)
            identity = answer.get("identity")
            action = str(identity.get("action", "")) if isinstance(identity, dict) else ""
            if await self._renewal.consider(config, action):
                self._log.debug("Next renewal", extra=fields(Due=self._renewal.due()))

    def _after_success(self, answer: dict[str, Any]) -> None:
        self._circuits.succeeded()
        self._gone = 0
        self._follow(answer)
        self._times.after(self._spread_period())
        self._log.debug("Heartbeat was accepted", extra=fields(Next=self.next))

    def _follow(self, answer: dict[str, Any]) -> None:
        """The server sets the pace."""
        pace = answer.get("nextSeconds")
        self._pace = float(pace) if isinstance(pace, int) and 0 < pace <= 86_400 else PERIOD

    def _after_failure(self, error: Exception) -> float:
        """Note the failure; answers the seconds until the next try."""
        code = error.code if isinstance(error, AgentError | CloudError) else type(error).__name__
        self._state.set(self._state.value.failed(self._clock.now(), code, str(error)))
        wait, advice = self._wait(error)
        self._log.error(
            "failed to send a heartbeat" + (f"; {advice}" if advice else ""),
            extra=fields({"Error": error, "Next Try Seconds": int(wait)}),
        )
        return wait

    def _wait(self, error: Exception) -> tuple[float, str]:
        period = self._spread_period()
        if machine_is_gone(error):
            return self._long_wait(), (
                "the machine's resource is gone from Azure, run 'azcmagent disconnect --force-local-only'"
            )
        if identity_is_over(error) or self._identity.expired(self._clock.now()):
            return self._long_wait(), (
                "the machine's certificate has run out, run 'azcmagent disconnect' and 'azcmagent connect'"
            )
        if isinstance(error, CloudError) and error.status == 429:
            return asked_wait(error) or period, "the service asks to wait"
        retried = transient(error) or (isinstance(error, CloudError) and error.status == 401)
        if not isinstance(error, CloudError | UnreachableError) or not retried:
            return period, ""
        failures = self._circuits.failed(error.host)
        if self._circuits.is_open(error.host):
            return max(period, asked_wait(error) or 0.0), ""
        # The period goes on whatever happens: a retry comes between two beats or not at all.
        retry = min(HEARTBEAT.delay(failures - 1, self._chance), period)
        return max(retry, asked_wait(error) or 0.0), ""

    def _long_wait(self) -> float:
        self._gone += 1
        return GONE.delay(self._gone - 1, self._chance)

    def _period(self) -> float:
        return float(self._uplink.config.number("himds.heartbeatSeconds") or self._pace)

    def _spread_period(self) -> float:
        jitter = self._uplink.config.number("himds.jitterPercent") / 100
        return spread(self._period(), jitter, self._chance)
