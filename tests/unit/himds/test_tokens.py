"""Client assertions: one for each that Entra hears, and no more."""

from __future__ import annotations

from urllib.parse import parse_qs

import httpx
import pytest

from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.himds.keys import ASSERTION_LIFE

TOKEN = "/oauth2/v2.0/token"
VAULT = "https://vault.azure.net"


@pytest.fixture
async def himds(bed):
    async with bed.running() as running:
        await bed.connect(running)
        await bed.clock.settled()
        bed.azure.requests.clear()
        yield running


def assertions(bed) -> list[str]:
    bodies = [parse_qs(request.content.decode()) for request in bed.azure.asked("POST", TOKEN)]
    return [body["client_assertion"][0] for body in bodies]


async def test_one_that_nobody_heard_serves_again_and_one_that_was_heard_does_not(himds, bed):
    bed.azure.script("POST", TOKEN, *[httpx.ConnectError("no route to host")] * 2)
    for _ in range(2):
        with pytest.raises(UnreachableError):
            await himds.tokens.get(VAULT)
    await himds.tokens.get(VAULT)
    await himds.tokens.get(VAULT, bypass_cache=True)
    first, second, third, fourth = assertions(bed)
    assert first == second == third != fourth


async def test_one_that_was_refused_does_not_serve_again(himds, bed, oauth_refusal):
    bed.azure.script("POST", TOKEN, oauth_refusal(400, "invalid_client", 700027))
    with pytest.raises(CloudError):
        await himds.tokens.get(VAULT)
    await himds.tokens.get(VAULT)
    first, second = assertions(bed)
    assert first != second


async def test_an_old_one_does_not_serve_again(himds, bed, monkeypatch):
    bed.azure.script("POST", TOKEN, httpx.ConnectError("no route to host"))
    earlier = bed.clock.wall() - ASSERTION_LIFE / 2
    with monkeypatch.context() as patch, pytest.raises(UnreachableError):
        patch.setattr(bed.clock, "wall", lambda: earlier)
        await himds.tokens.get(VAULT)
    await himds.tokens.get(VAULT)
    first, second = assertions(bed)
    assert first != second
