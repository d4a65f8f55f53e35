"""Certificate renewal, rotation and expiry on the bed's clock."""

from __future__ import annotations

import httpx
import pytest

from arcbed_agent.errors import AgentError
from arcbed_agent.himds.identity import Identity

IDENTITY = "/identity"


@pytest.fixture
def hourly(bed):
    bed.configure(**{"himds.heartbeatSeconds": 3600})
    return bed


async def test_nothing_is_renewed_before_day_45_and_once_within_the_day_after(hourly):
    bed = hourly
    async with bed.running() as himds:
        first = (await bed.connect(himds)).certificate_thumbprint
        await bed.clock.advance(days=44, hours=23)
        assert himds.status().certificate_thumbprint == first
        await bed.clock.advance(days=1, hours=3)
        assert himds.status().certificate_thumbprint != first
        await bed.clock.advance(days=10)
    assert len(bed.azure.issued) == 2
    assert bed.azure.asked("POST", IDENTITY)[-1].headers["authorization"].startswith("Bearer ")


async def test_the_spread_differs_from_machine_to_machine(hourly):
    bed = hourly
    async with bed.running() as himds:
        await bed.connect(himds)
        first = himds.renewal.due()
        assert first == himds.renewal.due()
        assert 0 <= (first - himds.identity.renew_after).total_seconds() <= 86_400
    async with bed.running() as himds:
        assert himds.renewal.due() != first


async def test_a_failed_renewal_is_tried_every_four_hours(hourly, refusal):
    bed = hourly
    async with bed.running() as himds:
        await bed.connect(himds)
        bed.azure.script("POST", IDENTITY, *[refusal(503, "ServerBusy")] * 4)
        await bed.clock.advance(days=46)
        before = len(bed.azure.asked("POST", IDENTITY))
        await bed.clock.advance(days=1)
        assert len(bed.azure.issued) == 2
    assert before >= 2


async def test_in_the_last_week_a_failed_renewal_is_tried_every_half_hour(bed, refusal):
    bed.configure(**{"himds.heartbeatSeconds": 1200})
    async with bed.running() as himds:
        await bed.connect(himds)
        bed.azure.always["POST", IDENTITY] = lambda: refusal(503, "ServerBusy")
        bed.configure(**{"himds.heartbeatSeconds": 21600})
        await himds.control.reload()
        await bed.clock.advance(days=84)
        bed.configure(**{"himds.heartbeatSeconds": 1200})
        await himds.control.reload()
        before = len(bed.azure.asked("POST", IDENTITY))
        await bed.clock.advance(hours=12)
        tries = len(bed.azure.asked("POST", IDENTITY)) - before
    assert 15 <= tries <= 24


@pytest.mark.parametrize(("action", "same_key"), [("renew", True), ("rotate", False)])
async def test_the_service_can_ask_for_a_renewal_or_another_key(bed, action, same_key):
    async with bed.running() as himds:
        await bed.connect(himds)
        key = himds.identity.key.kid
        bed.azure.answer_more = {"identity": {"action": action}}
        await bed.clock.advance(minutes=6)
        bed.azure.answer_more = {}
        assert len(bed.azure.issued) == 2
        assert (himds.identity.key.kid == key) is same_key
        assert himds.identity.key.matches(himds.identity.certificate)
        himds.tokens.forget()
        await bed.clock.advance(minutes=6)
        assert himds.status().error_code == ""
    assert not list(bed.layout["certificates"].glob("*.next"))


async def test_a_rotation_whose_answer_was_lost_goes_on_with_the_new_key(bed):
    def lose(request: httpx.Request) -> httpx.Response:
        bed.azure.real(request)
        raise httpx.ReadError("connection reset")

    async with bed.running() as himds:
        await bed.connect(himds)
        key = himds.identity.key.kid
        bed.azure.answer_more = {"identity": {"action": "rotate"}}
        bed.azure.script("POST", IDENTITY, lose)
        await bed.clock.advance(minutes=6)
        assert himds.identity.key.kid == key
    async with bed.running() as himds:
        while himds.identity.key.kid == key:
            await bed.clock.advance(minutes=5)
        bed.azure.answer_more = {}
        await bed.clock.advance(minutes=5)
        assert himds.identity.key.matches(himds.identity.certificate)
        assert himds.status().error_code == ""


async def test_a_rotation_killed_before_the_key_was_swapped_is_finished_at_start(bed):
    async with bed.running() as himds:
        await bed.connect(himds)
        old = bed.layout["machine_key"].read_bytes()
        bed.azure.answer_more = {"identity": {"action": "rotate"}}
        await bed.clock.advance(minutes=6)
    new = bed.layout["machine_key"].read_bytes()
    bed.layout["machine_key"].write_bytes(old)
    bed.layout["machine_key"].with_name("private.pem.next").write_bytes(new)
    identity = Identity(bed.layout)
    identity.load()
    assert identity.key.matches(identity.certificate)
    assert bed.layout["machine_key"].read_bytes() == new


async def test_a_lost_key_is_told_with_104(bed):
    async with bed.running() as himds:
        await bed.connect(himds)
    bed.layout["machine_key"].unlink()
    with pytest.raises(AgentError) as caught:
        await bed.make().start()
    assert caught.value.number == 104


async def test_a_certificate_that_has_run_out_makes_the_machine_expired_for_good(bed, caplog, get):
    bed.configure(**{"himds.heartbeatSeconds": 7200})
    async with bed.running() as himds:
        await bed.connect(himds)
        himds.tokens.forget()
        for word in (IDENTITY, "/heartbeat"):
            bed.azure.always["POST", word] = lambda: httpx.ConnectError("down")
        await bed.clock.advance(days=91)
        assert himds.status().status == "Expired"
        answer = await get(
            himds.server.port, "/metadata/identity/oauth2/token?api-version=2020-06-01&resource=r"
        )
        assert answer.status == 400
        assert answer.document["error"] == "identity_expired"
        answer = await get(himds.server.port, "/metadata/instance?api-version=2020-06-01")
        assert answer.status == 200
    assert "azcmagent disconnect" in caplog.text
