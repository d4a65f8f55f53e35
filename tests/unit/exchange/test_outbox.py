"""The loop with which gcad and extd tell the service: one thing at a time, and again after failures."""

from __future__ import annotations

import asyncio
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
HOST = "https://gas.test"


@dataclass
class Service:
    """Is reached or cut off."""

    cut_off: bool = False


class Outbox(exchange.Outbox[str]):
    """Sends words from a list; what a try meets is laid down by the test."""

    def __init__(self, contact: exchange.Contact) -> None:
        log = logging.LoggerAdapter(logging.getLogger("test.exchange"), {})
        super().__init__("m/d/report", contact, log)
        self.waiting: list[str] = []
        self.tried: list[tuple[float, str]] = []
        self.arrived: list[str] = []
        self.script: list[Callable[[], None]] = []
        self.disks_full = 0
        self.kept = {403}

    def _next(self, now: datetime) -> str | None:
        del now
        return self.waiting[0] if self.waiting else None

    async def _send(self, item: str) -> dict[str, Any]:
        self.tried.append(((self._contact.clock.now() - START).total_seconds(), item))
        if self.script:
            self.script.pop(0)()
        self.arrived.append(item)
        return {}

    def _accepted(self, item: str, answer: dict[str, Any]) -> None:
        del answer
        if self.disks_full:
            self.disks_full -= 1
            raise OSError(28, "No space left on device")
        self.waiting.remove(item)

    def _refused(self, item: str, error: CloudError) -> bool:
        if error.status in self.kept:
            return True
        self.waiting.remove(item)
        return False

    def _named(self, item: str) -> str:
        return item


@dataclass
class Loop:
    """The loop, its clock, and whether the daemon may speak."""

    clock: Keeper
    outbox: Outbox
    service: Service
    on: list[bool]

    def post(self, *items: str) -> None:
        self.outbox.waiting.extend(items)
        self.outbox.wake()


@pytest.fixture
async def loop() -> AsyncIterator[Loop]:
    clock, service, on = Keeper("stepped", start=START), Service(), [True]
    contact = exchange.Contact(clock, random.Random("outbox"), service, lambda: on[0])
    outbox = Outbox(contact)
    task = asyncio.ensure_future(outbox.run())
    yield Loop(clock, outbox, service, on)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def refuses(status: int, retry_after: float | None = None) -> Callable[[], None]:
    def refuse() -> None:
        raise CloudError(status, "No", "no", "", retry_after, HOST, {})

    return refuse


def away() -> None:
    raise UnreachableError(HOST, "network is unreachable")


def bug() -> None:
    raise KeyError("a bug")


async def test_what_waits_is_sent_in_order_at_once(loop: Loop) -> None:
    loop.post("one", "two", "three")
    await loop.clock.advance(seconds=0)
    assert loop.outbox.tried == [(0, "one"), (0, "two"), (0, "three")]
    assert loop.outbox.waiting == []


@pytest.mark.parametrize("failure", [away, bug, refuses(500), refuses(429), refuses(401), refuses(403)])
async def test_what_did_not_arrive_waits_within_the_back_off_and_the_rest_behind_it(
    loop: Loop, failure: Callable[[], None]
) -> None:
    loop.outbox.script = [failure]
    loop.post("one", "two")
    await loop.clock.advance(seconds=10)
    (first, second, third) = loop.outbox.tried
    assert [first, second[1], third[1]] == [(0, "one"), "one", "two"]
    assert 0 < second[0] == third[0] <= 10


async def test_what_is_refused_for_good_does_not_hold_up_the_rest(loop: Loop) -> None:
    loop.outbox.script = [refuses(400)]
    loop.post("one", "two")
    await loop.clock.advance(seconds=0)
    assert loop.outbox.tried == [(0, "one"), (0, "two")]
    assert loop.outbox.arrived == ["two"]


async def test_the_server_is_told_again_no_earlier_than_it_says(loop: Loop) -> None:
    loop.outbox.script = [refuses(503, retry_after=500.0)]
    loop.post("one")
    await loop.clock.advance(seconds=100)
    loop.outbox.wake()
    await loop.clock.advance(seconds=400)
    assert loop.outbox.tried == [(0, "one"), (500, "one")]


async def test_three_failures_leave_it_to_the_pulls_to_find_the_way(loop: Loop) -> None:
    loop.outbox.script = [away] * 3
    loop.post("one")
    await loop.clock.advance(hours=10)
    assert len(loop.outbox.tried) == 3
    assert loop.service.cut_off
    loop.service.cut_off = False
    loop.outbox.reached()
    await loop.clock.advance(seconds=0)
    assert loop.outbox.arrived == ["one"]


async def test_after_a_pull_that_works_nothing_waits_for_its_back_off(loop: Loop) -> None:
    loop.outbox.script = [refuses(503, retry_after=5_000.0)]
    loop.post("one")
    await loop.clock.advance(seconds=60)
    loop.outbox.reached()
    await loop.clock.advance(seconds=0)
    assert loop.outbox.tried == [(0, "one"), (60, "one")]


async def test_a_daemon_that_may_not_speak_says_nothing_until_it_may(loop: Loop) -> None:
    loop.on[0] = False
    loop.post("one")
    await loop.clock.advance(hours=1)
    assert loop.outbox.tried == []
    loop.on[0] = True
    loop.outbox.wake()
    await loop.clock.advance(seconds=0)
    assert loop.outbox.arrived == ["one"]


async def test_a_full_disk_when_the_answer_comes_does_not_end_the_loop(loop: Loop) -> None:
    loop.outbox.disks_full = 1
    loop.post("one", "two")
    await loop.clock.advance(seconds=10)
    assert loop.outbox.arrived == ["one", "one", "two"]
    assert loop.outbox.waiting == []
