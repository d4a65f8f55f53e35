"""When the loop that gcad and extd share pulls, and that nothing that is said to it is lost."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from arcbed_agent import exchange
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_cloud.clock import Keeper

START = datetime(2026, 1, 1, tzinfo=UTC)
VM_ID = "99999999-9999-4999-8999-999999999999"
#: Where in a period of 300 s the first pull of that machine is: documented as hash(vmId) modulo the period.
FIRST = int.from_bytes(hashlib.sha256(VM_ID.encode()).digest()[:8], "big") % 300_000 / 1_000
HOST = "https://gas.test"


@dataclass
class Service:
    """Is reached or cut off."""

    cut_off: bool = False


class Pulls(exchange.Pulls):
    """Does at each pull what the test has laid down for it, and without jitter."""

    def __init__(self, contact: exchange.Contact) -> None:
        log = logging.LoggerAdapter(logging.getLogger("test.exchange"), {})
        super().__init__("m/d/pull", contact, log)
        self.period = 300.0
        self.at: list[float] = []
        self.waits: list[float] = []
        self.script: list[Callable[[], None]] = []

    async def _pull(self) -> None:
        self.at.append((self._contact.clock.now() - START).total_seconds())
        if self.script:
            self.script.pop(0)()
        self._contact.service.cut_off = False

    def _failed(self, error: Exception, wait: float) -> None:
        del error
        self.waits.append(wait)

    def _period(self) -> float:
        return self.period

    def _jitter(self) -> float:
        return 0.0


@dataclass
class Loop:
    """The loop, its clock, and whether the daemon may speak."""

    clock: Keeper
    pulls: Pulls
    service: Service
    on: list[bool]

    async def pass_time(self, seconds: float) -> list[float]:
        """The seconds after now at which it has pulled meanwhile."""
        begin, before = (self.clock.now() - START).total_seconds(), len(self.pulls.at)
        await self.clock.advance(seconds=seconds)
        return [round(at - begin, 3) for at in self.pulls.at[before:]]


@pytest.fixture
async def loop() -> AsyncIterator[Loop]:
    clock, service, on = Keeper("stepped", start=START), Service(), [True]
    contact = exchange.Contact(clock, random.Random("pulls"), service, lambda: on[0])
    pulls = Pulls(contact)
    task = asyncio.ensure_future(pulls.run())
    pulls.begin(VM_ID)
    yield Loop(clock, pulls, service, on)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def refuses(status: int, code: str = "No", retry_after: float | None = None) -> Callable[[], None]:
    def refuse() -> None:
        document: dict[str, Any] = {}
        raise CloudError(status, code, "no", "", retry_after, HOST, document)

    return refuse


def away() -> None:
    raise UnreachableError(HOST, "network is unreachable")


async def test_the_first_pull_is_where_the_vm_id_says_and_then_one_comes_each_period(loop: Loop) -> None:
    assert await loop.pass_time(FIRST + 900) == [FIRST, FIRST + 300, FIRST + 600, FIRST + 900]


async def test_news_is_pulled_at_once_and_the_period_begins_anew(loop: Loop) -> None:
    await loop.pass_time(FIRST + 100)
    loop.pulls.now()
    assert await loop.pass_time(310) == [0, 300]


async def test_news_that_comes_during_a_pull_leads_to_another_at_once(loop: Loop) -> None:
    await loop.pass_time(FIRST + 100)
    loop.pulls.script = [loop.pulls.now]
    loop.pulls.now()
    assert await loop.pass_time(299) == [0, 0]


async def test_news_that_comes_several_times_during_a_pull_leads_to_one_more(loop: Loop) -> None:
    loop.pulls.script = [lambda: [loop.pulls.now() for _ in range(3)] and None]
    assert await loop.pass_time(FIRST + 299) == [FIRST, FIRST]


@pytest.mark.parametrize("failure", [away, refuses(429, retry_after=200.0), refuses(400)])
async def test_news_that_comes_during_a_pull_that_fails_leads_to_another(
    loop: Loop, failure: Callable[[], None]
) -> None:
    def lost() -> None:
        loop.pulls.now()
        failure()

    loop.pulls.script = [lost]
    assert await loop.pass_time(FIRST) == [FIRST, FIRST]


async def test_a_machine_that_becomes_another_during_a_pull_keeps_its_new_spread(loop: Loop) -> None:
    await loop.pass_time(FIRST + 100)
    loop.pulls.script = [lambda: loop.pulls.begin(VM_ID)]
    loop.pulls.now()
    assert await loop.pass_time(FIRST + 1) == [0, FIRST]


async def test_a_loop_that_is_ended_during_a_pull_pulls_no_more(loop: Loop) -> None:
    loop.pulls.script = [loop.pulls.end]
    assert await loop.pass_time(FIRST + 3_600) == [FIRST]
    assert loop.pulls.next is None


async def test_news_for_a_loop_that_has_ended_is_none(loop: Loop) -> None:
    loop.pulls.end()
    loop.pulls.now()
    loop.pulls.repace()
    assert await loop.pass_time(3_600) == []


async def test_a_daemon_that_may_not_speak_does_not_ask(loop: Loop) -> None:
    loop.on[0] = False
    assert await loop.pass_time(3_600) == []
    assert loop.pulls.next is None


async def test_a_shorter_period_holds_at_once_and_a_longer_one_after_the_next_pull(loop: Loop) -> None:
    await loop.pass_time(FIRST)
    loop.pulls.period = 60.0
    loop.pulls.repace()
    assert await loop.pass_time(120) == [60, 120]
    loop.pulls.period = 600.0
    loop.pulls.repace()
    assert await loop.pass_time(700) == [60, 660]


async def test_retries_come_within_the_back_off_until_the_circuit_opens(loop: Loop) -> None:
    loop.pulls.script = [away] * 5
    await loop.pass_time(FIRST + 10 + 20)
    assert [wait < limit for wait, limit in zip(loop.pulls.waits, (10, 20), strict=False)] == [True, True]
    assert loop.pulls.waits[2] == 300
    assert loop.service.cut_off
    assert len(await loop.pass_time(900)) == 3
    assert not loop.service.cut_off


async def test_the_server_is_asked_again_no_earlier_than_it_says(loop: Loop) -> None:
    loop.pulls.script = [refuses(503, retry_after=1_000.0)]
    assert await loop.pass_time(FIRST + 1_000) == [FIRST, FIRST + 1_000]


@pytest.mark.parametrize("failure", [refuses(400), refuses(403), lambda: {}["a bug"]])
async def test_what_another_try_does_not_help_against_waits_for_the_period(
    loop: Loop, failure: Callable[[], None]
) -> None:
    loop.pulls.script = [failure]
    assert await loop.pass_time(FIRST + 300) == [FIRST, FIRST + 300]


async def test_an_hour_at_the_most_lies_between_two_questions_of_a_machine_that_is_gone(loop: Loop) -> None:
    loop.pulls.script = [refuses(404, "MachineNotFound")] * 20
    await loop.pass_time(FIRST + 86_400)
    limits = [min(3_600, 60 * 2**tries) for tries in range(len(loop.pulls.waits))]
    assert len(limits) == 20
    assert all(wait <= limit for wait, limit in zip(loop.pulls.waits, limits, strict=True))
    assert max(loop.pulls.waits) > 300
