"""The heartbeat route: what is accepted, what the machine shows afterwards, what the agent is told."""

from __future__ import annotations

import gzip
import json
import secrets
import sqlite3
from contextlib import closing
from dataclasses import replace
from uuid import UUID

import pytest


def guid() -> str:
    return str(UUID(int=secrets.randbits(128), version=4))


def refused(answer, status, code):
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


@pytest.fixture
def changes():
    return {"heartbeat_throttle": False}


async def test_only_newer_sequences_of_an_instance_are_accepted(bed, connected):
    connected.seq = 4
    body = connected.beat_body()
    assert [(await connected.send(body | {"seq": seq})).json()["accepted"] for seq in (5, 5, 4)] == [
        True,
        False,
        False,
    ]
    connected.instance, connected.seq = guid(), 0
    assert (await connected.beat()).json()["accepted"] is True


async def test_late_heartbeat_changes_nothing(bed, connected):
    before = bed.stored("heartbeats", connected.vm_id)
    body = connected.beat_body({"osName": "windows"}, seq=1)
    assert (await connected.send(body)).json()["accepted"] is False
    assert bed.stored("heartbeats", connected.vm_id) == before
    assert (await bed.machine("web-01"))["properties"]["osName"] == "linux"


async def test_metadata_goes_into_the_machine_under_its_arm_names(bed, connected):
    metadata = {
        "osName": "linux",
        "osVersion": "6.8.0",
        "osSku": "Ubuntu 24.04.3 LTS",
        "osType": "linux",
        "osProfile": {"computerName": "web-01"},
        "machineFqdn": "web-01.example",
        "cloudMetadata": {"provider": "N/A"},
        "detectedProperties": {"coreCount": "4", "model": "KVM"},
        "mssqlDiscovered": "false",
        "somethingNew": {"is": "ignored"},
    }
    services = {
        name: {"status": "active", "startupType": "enabled"}
        for name in ("extensionService", "guestConfigurationService")
    }
    configuration = {"extensionsEnabled": "true", "incomingConnectionsPorts": ["22"], "configMode": "full"}
    answer = await connected.beat(metadata, serviceStatuses=services, agentConfiguration=configuration)
    assert answer.json()["sendMetadata"] is False
    properties = (await bed.machine("web-01"))["properties"]
    for name, value in metadata.items():
        if name != "somethingNew":
            assert properties[name] == value
    assert "somethingNew" not in properties
    assert properties["serviceStatuses"] == services
    assert properties["agentConfiguration"] == configuration
    assert properties["agentVersion"] == "1.0.0"
    assert properties["errorDetails"] == []


async def test_metadata_is_asked_for_when_its_hash_is_not_the_stored_one(bed, connected):
    assert (await connected.beat({"osName": "linux"})).json()["sendMetadata"] is False
    other = connected.beat_body(metadataHash="0" * 64)
    assert (await connected.send(other)).json()["sendMetadata"] is True


async def test_what_metadata_leaves_out_is_unknown_again(bed, connected):
    await connected.beat({"osName": "linux", "osVersion": "6.8"})
    await connected.beat({"osName": "linux"})
    assert "osVersion" not in (await bed.machine("web-01"))["properties"]


async def test_error_status_and_its_details_are_shown_and_end(bed, connected):
    details = [{"code": "AZCM0026", "message": "Network", "details": [{"code": "x", "message": "y"}]}]
    await connected.beat(status="Error", errorDetails=details)
    properties = (await bed.machine("web-01"))["properties"]
    assert (properties["status"], properties["errorDetails"]) == ("Error", details)
    await connected.beat()
    properties = (await bed.machine("web-01"))["properties"]
    assert (properties["status"], properties["errorDetails"]) == ("Connected", [])


async def test_answer_tells_the_machine_its_tags_and_when_they_changed(bed, connected):
    first = (await connected.beat()).json()
    assert first["nextSeconds"] == 300
    assert first["agentUpgrade"] is None
    assert (await bed.arm("PATCH", connected.id, {"tags": {"env": "prod"}})).status_code == 200
    second = (await connected.beat()).json()
    assert second["machine"]["tags"] == {"env": "prod"}
    assert second["machine"]["tagsGeneration"] == first["machine"]["tagsGeneration"] + 1
    third = (await connected.beat()).json()
    assert third["machine"]["tagsGeneration"] == second["machine"]["tagsGeneration"]


async def test_wanted_agent_version_is_told(bed, connected):
    wish = {"desiredVersion": "1.2.0", "correlationId": "c", "enableAutomaticUpgrade": True}
    await bed.arm("PATCH", connected.id, {"properties": {"agentUpgrade": wish}})
    assert (await connected.beat()).json()["agentUpgrade"] == wish


async def test_token_of_another_machine_is_a_mismatch(bed, connected, other):
    connected.token = other.token
    refused(await connected.beat(), 403, "MachineMismatch")
    connected.token = bed.owner
    refused(await connected.beat(), 403, "MachineMismatch")


async def test_missing_forged_or_expired_token_is_refused(bed, connected):
    good = connected.token
    connected.token = ""
    refused(await connected.beat(), 401, "InvalidToken")
    connected.token = good[:-4] + "AAAA"
    refused(await connected.beat(), 401, "InvalidToken")
    connected.token = good
    await bed.clock.advance(seconds=86_701)
    refused(await connected.beat(), 401, "TokenExpired")


async def test_deleted_machine_is_not_found_and_its_certificate_is_worthless(bed, connected):
    assert (await bed.arm("DELETE", connected.id)).status_code == 200
    refused(await connected.beat(), 404, "MachineNotFound")
    refused(await connected.identity(), 404, "MachineNotFound")
    answer = await connected.ask_token()
    assert answer.status_code in {400, 401}
    assert 700016 in answer.json()["error_codes"]
    for table in ("heartbeats", "identities"):
        assert bed.stored(table, connected.vm_id) is None
    assert bed.stored("principals", connected.credential["object_id"]) is None


async def test_machine_that_moved_is_sent_to_its_region(bed, connected):
    bed.cloud.his.moved[connected.vm_id] = "https://eus.his.arc.azure.com"
    answer = await connected.beat()
    refused(answer, 421, "MisdirectedRequest")
    assert answer.json()["error"]["target"] == "https://eus.his.arc.azure.com"


async def test_repeated_request_gets_the_stored_answer(bed, connected):
    request_id = guid()
    body = connected.beat_body()
    first = await connected.send(body, **{"Repeatability-Request-ID": request_id})
    again = await connected.send(body, **{"Repeatability-Request-ID": request_id})
    assert first.json()["accepted"] is True
    assert again.content == first.content
    assert again.headers["Repeatability-Result"] == "accepted"


async def test_wrong_members_are_named(connected):
    answer = await connected.send(
        {"instanceId": "x", "seq": "1", "agentVersion": "1", "metadataHash": "0" * 64}
    )
    refused(answer, 400, "InvalidRequest")
    named = " ".join(detail["message"] for detail in answer.json()["error"]["details"])
    assert "instanceId" in named
    assert "seq" in named


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"osName": "linux"}, "metadataHash": "0" * 64},
        {"metadata": {"detectedProperties": {"coreCount": 4}}},
        {"metadata": {"osName": 7}},
        {"agentConfiguration": {"proxyUrl": 1}},
        {"seq": 0},
        {"status": "Great"},
    ],
)
async def test_heartbeat_of_the_wrong_shape_is_refused_and_stores_nothing(bed, connected, change):
    before = bed.stored("heartbeats", connected.vm_id)
    body = connected.beat_body(change.pop("metadata", None)) | change
    refused(await connected.send(body), 400, "InvalidRequest")
    assert bed.stored("heartbeats", connected.vm_id) == before


async def test_header_of_another_instance_is_refused(connected):
    refused(
        await connected.send(connected.beat_body(), **{"x-arc-instance": guid()}),
        400,
        "InvalidRequest",
    )


async def test_bodies_may_be_zipped_and_are_capped_before_and_after(bed, connected):
    url = f"{bed.his}/machine/{connected.vm_id}/heartbeat"

    async def send(content, encoding="gzip"):
        return await bed.http.post(
            url,
            params={"api-version": "sim-1"},
            headers={"Authorization": f"Bearer {connected.token}", "Content-Encoding": encoding},
            content=content,
        )

    body = json.dumps(connected.beat_body({"displayName": "x" * 20_000})).encode()
    assert (await send(gzip.compress(body))).status_code == 200
    refused(await send(gzip.compress(b" " * 10_000_000)), 413, "PayloadTooLarge")
    refused(await send(b" " * 65_537, "identity"), 413, "PayloadTooLarge")
    refused(await send(b"no gzip"), 400, "InvalidRequest")
    refused(await send(gzip.compress(body)[:-4]), 400, "InvalidRequest")
    refused(await send(body, "br"), 400, "InvalidRequest")


class TestThrottled:
    @pytest.fixture
    def changes(self):
        return {}

    async def test_third_heartbeat_within_a_minute_waits(self, bed, connected):
        assert (await connected.beat()).status_code == 200
        answer = await connected.beat()
        refused(answer, 429, "TooManyRequests")
        assert answer.headers["Retry-After"] == "60"
        await bed.clock.advance(seconds=60)
        assert (await connected.beat()).status_code == 200


class TestClones:
    async def take_turns(self, bed, one, two, count):
        """Both speak every five minutes; returns the statuses, the first one's first."""
        statuses = []
        for _ in range(count):
            for voice in (one, two):
                statuses.append((await voice.beat()).status_code)
                await bed.clock.advance(seconds=150)
        return statuses

    async def test_younger_of_two_that_take_turns_is_refused_and_the_machine_is_marked(self, bed, connected):
        clone = replace(connected, instance=guid(), seq=0)
        assert await self.take_turns(bed, connected, clone, 4) == [200, 200, 200, 429, 200, 429, 200, 429]
        machine = await bed.machine("web-01", version="2026-07-15")
        assert machine["properties"]["statusReason"] == "Cloned"
        assert machine["properties"]["status"] == "Connected"
        assert "statusReason" not in (await bed.machine("web-01"))["properties"]
        answer = await clone.beat()
        refused(answer, 429, "DuplicateHeartbeat")
        assert int(answer.headers["Retry-After"]) >= 5

    async def test_mark_goes_fifteen_minutes_after_the_last_turn(self, bed, connected):
        clone = replace(connected, instance=guid(), seq=0)
        await self.take_turns(bed, connected, clone, 3)
        for _ in range(3):
            await connected.beat()
            await bed.clock.advance(minutes=5)
        assert "statusReason" not in (await bed.machine("web-01", version="2026-07-15"))["properties"]

    async def test_younger_one_is_heard_again_when_the_elder_is_silent(self, bed, connected):
        clone = replace(connected, instance=guid(), seq=0)
        await self.take_turns(bed, connected, clone, 3)
        statuses = []
        for _ in range(5):
            statuses.append((await clone.beat()).status_code)
            await bed.clock.advance(minutes=5)
        assert statuses[0] == 429
        assert statuses[-1] == 200

    async def test_restarts_of_himds_are_no_clones(self, bed, connected):
        for _ in range(6):
            connected.instance, connected.seq = guid(), 0
            assert (await connected.beat()).status_code == 200
            await bed.clock.advance(minutes=2)
        assert "statusReason" not in (await bed.machine("web-01", version="2026-07-15"))["properties"]


async def test_answered_heartbeat_is_in_the_database_file(bed, connected, settings):
    assert (await connected.beat({"osName": "solaris"})).status_code == 200
    with closing(sqlite3.connect(f"file:{settings.state / 'state.db'}?mode=ro", uri=True)) as database:
        beat = database.execute("SELECT body FROM heartbeats WHERE key = ?", (connected.vm_id,)).fetchone()
        machine = database.execute(
            "SELECT body FROM resources WHERE key = ?", (connected.id.lower(),)
        ).fetchone()
    assert json.loads(beat[0])["said"]["seq"] == connected.seq
    assert json.loads(machine[0])["properties"]["osName"] == "solaris"
