"""Too much work at once is refused, and a failure of ours is an answer in the service's shape."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import httpx
import pytest

from arcbed_cloud.clock import Keeper
from arcbed_cloud.ids import Ids
from arcbed_cloud.services.his.gate import IN_FLIGHT, ONBOARDING, Gate

BASE = "https://weu.his.arc.azure.com"


class Slow:
    """Answers when it is let go."""

    def __init__(self):
        self.go = asyncio.Event()
        self.arrived = 0

    async def __call__(self, scope, receive, send):
        self.arrived += 1
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


def client(app):
    plane = SimpleNamespace(ids=Ids("gate"), clock=Keeper("stepped"))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=Gate(app, plane)), base_url=BASE)


@pytest.mark.parametrize(
    ("path", "limit"), [("/machine/x/heartbeat", IN_FLIGHT), ("/machine/x/identity", ONBOARDING)]
)
async def test_more_than_the_limit_in_flight_is_busy_and_then_free_again(path, limit):
    app = Slow()
    async with client(app) as http:
        waiting = [asyncio.create_task(http.post(path)) for _ in range(limit)]
        while app.arrived < limit:
            await asyncio.wait([*waiting], timeout=0)
        refused = await http.post(path)
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == refused.headers["x-ms-error-code"] == "ServerBusy"
        assert int(refused.headers["Retry-After"]) >= 1
        app.go.set()
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
        assert (await http.post(path)).status_code == 200


async def test_failure_behind_the_gate_is_a_500_that_says_nothing_of_the_code():
    async def broken(scope, receive, send):
        raise ZeroDivisionError("secret")

    async with client(broken) as http:
        answer = await http.get("/healthz")
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "InternalError"
        assert "secret" not in answer.text
        assert (await http.get("/healthz")).status_code == 500, "the place in flight was given back"
