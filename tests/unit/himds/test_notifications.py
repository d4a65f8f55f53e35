"""The notification channel as the agent keeps it: opened, lost, opened again, and what is said on it."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from arcbed_agent.cloud.relay import Request
from arcbed_agent.cloud.transport import UnreachableError
from arcbed_agent.himds import notifications
from arcbed_agent.himds.daemon import Himds

RELAY = {
    "namespaceName": "azgn-x",
    "namespaceNameSuffix": "relay.test",
    "hybridConnectionName": "m-1",
    "accessKey": "SharedAccessSignature sr=x&sig=y&se=1&skn=listener",
}


class Ear:
    """A relay's end of a channel."""

    def __init__(self):
        self.handler = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()
        self.renewed = asyncio.Queue()
        self.closed = False

    async def listen(self, handler):
        self.handler.set_result(handler)
        return await self.ended

    async def renew(self, token):
        self.renewed.put_nowait(token)

    async def close(self):
        self.closed = True


class Line:
    """himds with channels that the test opens, drops and speaks on."""

    def __init__(self, bed):
        self.bed = bed
        self.ears: list[Ear] = []
        self.failing = 0
        self.told: list[str] = []
        self.life = 43_200
        bed.azure.always["POST", "/channel"] = self._channel

    def _channel(self):
        relay = RELAY | {"expiresOn": int(self.bed.clock.wall()) + self.life}
        return httpx.Response(200, json={"relay": relay, "pingSeconds": 60, "reconnectSpreadSeconds": 180})

    async def dial(self, channel, _config, _pings):
        if self.failing:
            self.failing -= 1
            raise UnreachableError(channel.url, "no route")
        self.ears.append(Ear())
        return self.ears[-1]

    @asynccontextmanager
    async def running(self):
        bed = self.bed
        himds = Himds(
            layout=bed.layout,
            clock=bed.clock,
            host=bed.host,
            chance=bed.chance,
            network=lambda: httpx.MockTransport(bed.azure),
            services=dict,
            dial=self.dial,
            name="web-01",
            log=logging.getLogger("test.himds"),
        )

        async def tell(word):
            self.told.append(word)

        himds.notifications._tell = tell
        await himds.start()
        try:
            await bed.connect(himds)
            await self.opened(1)
            yield himds
        finally:
            await himds.stop()

    async def opened(self, count, limit=timedelta(minutes=30)):
        """Let time pass until `count` channels have been opened; answers the newest one's handler."""

        async def there():
            while len(self.ears) < count:
                await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=0.005)
            return await self.ears[-1].handler

        return await self.bed.settle(there(), limit)

    async def say(self, kind="extensions", number="n1", age=0, **more):
        """One notification; answers the status that the relay is told."""
        issued = (self.bed.clock.now() - timedelta(seconds=age)).isoformat()
        document = {
            "id": number,
            "kind": kind,
            "generation": 2,
            "issuedAt": issued,
            "ttlSeconds": 300,
            **more,
        }
        handler = await self.ears[-1].handler
        status = await handler(Request("1", "POST", "/m-1/notify", json.dumps(document).encode()))
        await self.bed.clock.settled()
        return status


@pytest.fixture
def line(bed):
    bed.configure()
    return Line(bed)


async def test_notification_is_answered_and_passed_on(line):
    async with line.running():
        assert await line.say("extensions", "n1") == 202
        assert await line.say("assignments", "n2") == 202
        assert line.told == ["pull extensions", "pull"]


async def test_repeated_old_and_unknown_notifications_are_answered_and_ignored(line):
    async with line.running():
        assert await line.say(number="n1") == 202
        assert await line.say(number="n1") == 202
        assert await line.say(number="n2", age=301) == 202
        assert await line.say("something new", "n3") == 202
        assert line.told == ["pull extensions"]


async def test_repeat_after_ten_minutes_is_news(line):
    async with line.running():
        await line.say(number="n1")
        await line.bed.clock.advance(minutes=11)
        await line.say(number="n1")
        assert line.told == ["pull extensions"] * 2


async def test_spread_notification_is_passed_on_within_its_spread(line):
    async with line.running():
        assert await line.say(spreadSeconds=60) == 202
        assert line.told == []
        await line.bed.clock.advance(seconds=60)
        assert line.told == ["pull extensions"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id": 1, "kind": "x", "issuedAt": "soon"}', b"\xff"])
async def test_what_is_no_notification_is_answered_400(line, body):
    async with line.running():
        handler = await line.ears[-1].handler
        assert await handler(Request("1", "POST", "/m-1/notify", body)) == 400
        assert line.told == []


async def test_dropped_channel_is_opened_again_within_the_spread_and_all_is_pulled(line):
    async with line.running():
        before = line.bed.clock.now()
        line.ears[0].ended.set_result(1001)
        await line.opened(2)
        assert line.bed.clock.now() - before <= timedelta(seconds=181)
        await line.bed.clock.settled()
        assert line.told == ["pull extensions", "pull"]
        assert line.ears[0].closed


async def test_channel_whose_token_ran_out_is_opened_again_at_once(line):
    async with line.running():
        before = line.bed.clock.now()
        line.ears[0].ended.set_result(1008)
        await line.opened(2)
        assert line.bed.clock.now() - before <= timedelta(seconds=6)


async def test_channel_that_cannot_be_opened_is_tried_again_for_ever(line):
    line.failing = 6
    async with line.running():
        assert line.failing == 0
        assert await line.say() == 202


async def test_disconnected_machine_closes_its_channel(line):
    async with line.running() as himds:
        await line.bed.settle(himds.control.disconnect("person", line.bed.report))
        await line.bed.clock.settled()
        assert line.ears[0].closed
        await line.bed.clock.advance(hours=1)
        assert len(line.ears) == 1


async def test_token_is_renewed_before_it_runs_out(line, monkeypatch):
    monkeypatch.setattr(notifications, "_PATIENCE", 0.01)
    line.life = 0
    async with line.running():
        assert await asyncio.wait_for(line.ears[0].renewed.get(), 5) == RELAY["accessKey"]
        assert len(line.ears) == 1


async def test_token_that_cannot_be_renewed_leaves_the_channel_open(line, monkeypatch, refusal):
    monkeypatch.setattr(notifications, "_PATIENCE", 0.01)
    line.life = 0
    async with line.running():
        line.bed.azure.script("POST", "/channel", refusal(503, "ServerBusy"))
        assert await asyncio.wait_for(line.ears[0].renewed.get(), 5)
        assert len(line.ears) == 1
