"""Heartbeats: what is sent when, and what each kind of failure leads to."""

from __future__ import annotations

import itertools
from datetime import timedelta

import httpx
import pytest

from arcbed_agent.himds.heartbeat import metadata_hash

HEARTBEAT = "/heartbeat"


async def connected(bed, himds):
    status = await bed.connect(himds)
    await bed.clock.settled()
    return status


async def beat(bed, himds):
    """Let time pass until the next heartbeat has been tried."""
    await bed.clock.advance(himds.pulse.next - bed.clock.now())


def gaps(bed):
    times = [item["at"] for item in bed.azure.heartbeats]
    return [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)]


async def test_an_hour_brings_a_heartbeat_every_five_minutes_within_ten_percent(bed):
    async with bed.running() as himds:
        await connected(bed, himds)
        await bed.clock.advance(hours=1)
    assert 11 <= len(bed.azure.heartbeats) <= 14
    assert all(270 <= gap <= 330 for gap in gaps(bed))
    assert [item["seq"] for item in bed.azure.heartbeats] == list(range(1, len(bed.azure.heartbeats) + 1))
    assert len({item["instanceId"] for item in bed.azure.heartbeats}) == 1


async def test_the_local_period_wins_over_the_servers(bed):
    bed.configure(**{"himds.heartbeatSeconds": 60})
    async with bed.running() as himds:
        await connected(bed, himds)
        await bed.clock.advance(minutes=10)
    assert 9 <= len(bed.azure.heartbeats) <= 12


async def test_a_shorter_period_holds_at_once_after_reload(bed):
    async with bed.running() as himds:
        await connected(bed, himds)
        bed.configure(**{"himds.heartbeatSeconds": 10})
        await himds.control.reload()
        await bed.clock.advance(seconds=12)
    assert len(bed.azure.heartbeats) == 2


async def test_a_heartbeat_that_is_wanted_during_a_heartbeat_follows_it(bed):
    answer = bed.azure.heartbeat
    async with bed.running() as himds:
        await connected(bed, himds)

        def wanted_meanwhile(request):
            bed.azure.heartbeat = answer
            himds.pulse.now()
            return answer(request)

        bed.azure.heartbeat = wanted_meanwhile
        himds.pulse.now()
        await bed.clock.advance(seconds=1)
        assert len(bed.azure.heartbeats) == 3


async def test_after_a_restart_the_first_tick_is_spread_by_vm_id(bed):
    async with bed.running() as himds:
        status = await connected(bed, himds)
    before = len(bed.azure.heartbeats)
    begin = bed.clock.now()
    async with bed.running() as himds:
        due = himds.pulse.next - begin
        assert due == timedelta(seconds=himds.pulse.first_tick(status.vm_id))
        assert timedelta() <= due < timedelta(minutes=5)
        assert himds.status().status == "Connected"
        await bed.clock.advance(minutes=5)
    later = bed.azure.heartbeats[before:]
    assert later[0]["seq"] == 1
    assert later[0]["instanceId"] != bed.azure.heartbeats[0]["instanceId"]


async def test_metadata_is_sent_first_then_on_change_each_day_and_on_request(bed):
    bed.configure(**{"himds.heartbeatSeconds": 3600})
    async with bed.running() as himds:
        await connected(bed, himds)
        await bed.clock.advance(hours=3)
        with_metadata = [index for index, item in enumerate(bed.azure.heartbeats) if "metadata" in item]
        assert with_metadata == [0]
        bed.host.facts["osVersion"] = "6.0"
        await bed.clock.advance(hours=2)
        changed = [item for item in bed.azure.heartbeats if "metadata" in item]
        assert len(changed) == 2
        assert changed[1]["metadataHash"] == metadata_hash(bed.host.facts)
        bed.azure.answer_more = {"sendMetadata": True}
        await bed.clock.advance(hours=2)
        bed.azure.answer_more = {}
        await bed.clock.advance(hours=2)
        asked = len([item for item in bed.azure.heartbeats if "metadata" in item])
        assert asked > 2
        await bed.clock.advance(hours=26)
        assert len([item for item in bed.azure.heartbeats if "metadata" in item]) == asked + 1


async def test_421_asks_discovery_again_and_retries_at_once(bed, refusal):
    async with bed.running() as himds:
        await connected(bed, himds)
        bed.azure.discovery_his = "https://ne.his.test"
        bed.azure.script("POST", HEARTBEAT, refusal(421, "MisdirectedRequest", target="https://ne.his.test"))
        await bed.clock.advance(minutes=6)
        assert himds.status().status == "Connected"
    hosts = [item.url.host for item in bed.azure.asked("POST", HEARTBEAT)]
    assert hosts == ["weu.his.test", "weu.his.test", "ne.his.test"]


async def test_401_gets_one_new_token_and_retries_at_once(bed, refusal):
    async with bed.running() as himds:
        await connected(bed, himds)
        bed.azure.script("POST", HEARTBEAT, refusal(401, "TokenExpired"))
        await bed.clock.advance(minutes=6)
        assert himds.status().error_code == ""
    assert len(bed.azure.asked("POST", "/oauth2/v2.0/token")) == 2
    assert len(bed.azure.heartbeats) == 2


async def test_413_sends_less(bed, refusal):
    async with bed.running() as himds:
        await connected(bed, himds)
        bed.host.facts["detectedProperties"] = {"big": "x" * 3_000}
        bed.host.facts["networkProfile"] = {
            "networkInterfaces": [{"ipAddresses": [{"address": str(n)} for n in range(50)]} for _ in range(3)]
        }
        bed.azure.script("POST", HEARTBEAT, refusal(413, "PayloadTooLarge"))
        await bed.clock.advance(minutes=6)
    sent = bed.azure.heartbeats[-1]
    assert "detectedProperties" not in sent["metadata"]
    assert (
        sum(len(item["ipAddresses"]) for item in sent["metadata"]["networkProfile"]["networkInterfaces"])
        == 64
    )
    assert sent["metadataHash"] == metadata_hash(sent["metadata"])


async def test_429_waits_as_long_as_the_service_says(bed, refusal):
    async with bed.running() as himds:
        await connected(bed, himds)
        bed.azure.script(
            "POST", HEARTBEAT, refusal(429, "DuplicateHeartbeat", headers={"Retry-After": "900"})
        )
        await beat(bed, himds)
        refused_at = bed.clock.now()
        await beat(bed, himds)
    assert len(bed.azure.heartbeats) == 2
    assert bed.azure.heartbeats[1]["at"] - refused_at == timedelta(seconds=900)


async def test_three_failures_make_it_disconnected_and_one_success_connected(bed):
    async with bed.running() as himds:
        await connected(bed, himds)
        bed.azure.script("POST", HEARTBEAT, *[httpx.ConnectError("network is unreachable")] * 3)
        await beat(bed, himds)
        await beat(bed, himds)
        assert himds.status().status == "Connected"
        await beat(bed, himds)
        status = himds.status()
        assert status.status == "Disconnected"
        assert "network is unreachable" in status.error_details
        await bed.clock.advance(minutes=6)
        assert himds.status().status == "Connected"
        assert himds.status().error_code == ""


async def test_after_three_failures_of_a_host_only_the_period_timer_tries_it(bed, refusal):
    async with bed.running() as himds:
        await connected(bed, himds)
        bed.azure.always["POST", HEARTBEAT] = lambda: refusal(503, "ServerBusy")
        while himds.state.value.failures < 3:
            await bed.clock.advance(seconds=5)
        before = len(bed.azure.asked("POST", HEARTBEAT))
        await bed.clock.advance(hours=1)
        tries = len(bed.azure.asked("POST", HEARTBEAT)) - before
    assert 10 <= tries <= 14


async def test_a_machine_that_is_gone_is_asked_for_ever_more_rarely_and_the_log_advises(bed, caplog):
    caplog.set_level("ERROR", "test.himds")
    async with bed.running() as himds:
        await connected(bed, himds)
        bed.azure.machines.clear()
        await bed.clock.advance(days=1)
        tries = len(bed.azure.asked("POST", HEARTBEAT)) - 1
        assert himds.status().status == "Disconnected"
        assert himds.status().resource_id
    assert 20 <= tries <= 80
    assert "disconnect --force-local-only" in caplog.text


async def test_a_principal_that_entra_does_not_know_counts_as_gone(bed, oauth_refusal, caplog):
    async with bed.running() as himds:
        await connected(bed, himds)
        himds.tokens.forget()
        bed.azure.script(
            "POST", "/oauth2/v2.0/token", *[oauth_refusal(400, "unauthorized_client", 700016)] * 50
        )
        await bed.clock.advance(minutes=6)
        assert himds.status().error_code == "unauthorized_client"
    assert "disconnect --force-local-only" in caplog.text


async def test_state_survives_a_restart(bed):
    async with bed.running() as himds:
        status = await connected(bed, himds)
    async with bed.running() as himds:
        again = himds.status()
        assert (again.last_heartbeat, again.vm_id) == (status.last_heartbeat, status.vm_id)
        assert himds.state.value.tags == {"City": "Oslo"}
        assert himds.state.value.generations == {"assignments": 1, "extensions": 1, "config": 1, "tags": 1}


async def test_a_broken_state_file_is_made_anew(bed):
    async with bed.running() as himds:
        await connected(bed, himds)
    bed.layout["state"].write_text("{broken")
    async with bed.running() as himds:
        assert himds.status().status == "Connected"
        await bed.clock.advance(minutes=5)
        assert himds.status().last_heartbeat


async def test_a_fault_in_the_host_does_not_end_the_loop(bed):
    async with bed.running() as himds:
        await connected(bed, himds)
        metadata, bed.host.metadata = bed.host.metadata, lambda: 1 / 0
        await bed.clock.advance(minutes=6)
        assert himds.status().error_code == "ZeroDivisionError"
        bed.host.metadata = metadata
        await bed.clock.advance(minutes=6)
        assert himds.status().error_code == ""


@pytest.mark.parametrize(("answer", "fine"), [({"nextSeconds": 60}, True), ({"nextSeconds": -5}, False)])
async def test_the_servers_pace_is_followed_if_it_makes_sense(bed, answer, fine):
    bed.azure.answer_more = answer
    async with bed.running() as himds:
        await connected(bed, himds)
        await bed.clock.advance(minutes=30)
    assert (len(bed.azure.heartbeats) > 20) is fine


async def test_the_pace_in_the_answer_to_the_first_heartbeat_holds_at_once(bed):
    bed.azure.answer_more = {"nextSeconds": 20}
    async with bed.running() as himds:
        await connected(bed, himds)
        await bed.clock.advance(seconds=23)
    assert len(bed.azure.heartbeats) == 2


async def test_a_retry_never_comes_later_than_the_next_beat_would(bed):
    bed.configure(**{"himds.heartbeatSeconds": 2})
    async with bed.running() as himds:
        await connected(bed, himds)
        bed.azure.always["POST", HEARTBEAT] = lambda: httpx.ConnectError("no route to host")
        for _ in range(30):
            await beat(bed, himds)
            assert (himds.pulse.next - bed.clock.now()).total_seconds() <= 2.2


async def test_a_machine_that_reaches_nobody_is_not_looked_at_in_vain(bed):
    looks = []
    facts = bed.host.metadata
    async with bed.running() as himds:
        await connected(bed, himds)
        bed.host.metadata = lambda: looks.append(bed.clock.now()) or facts()
        for call in (("POST", HEARTBEAT), ("GET", "/discovery")):
            bed.azure.always[call] = lambda: httpx.ConnectError("no route to host")
        for _ in range(3):
            await beat(bed, himds)
        assert len(looks) == 3, "the regional service is known until it has failed three times"
        for _ in range(3):
            await beat(bed, himds)
        assert len(looks) == 3
        bed.azure.always.clear()
        await beat(bed, himds)
        assert len(looks) == 4
        assert himds.status().error_code == ""
