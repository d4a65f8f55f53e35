"""`connect` and `disconnect`: order, codes, and going on after an interruption."""

from __future__ import annotations

import json
import stat

import httpx
import pytest

from arcbed_agent.config import AgentConfig
from arcbed_agent.errors import AgentError

MACHINE = "/machines/web-01"


async def test_connect_a_free_name_registers_certifies_and_beats(bed):
    async with bed.running() as himds:
        status = await bed.connect(himds)
    assert status.status == "Connected"
    assert status.resource_id.endswith(MACHINE)
    (document,) = bed.azure.machines.values()
    assert document["properties"]["vmId"] == status.vm_id
    assert document["properties"]["clientPublicKey"].startswith("MIIBCgKCAQEA")
    assert document["identity"]["type"] == "SystemAssigned"
    assert document["tags"] == {"City": "Oslo"}
    assert [item.percent for item in bed.progress] == [30, 60, 80, 100]
    assert "Correlation ID=55555555-" in bed.progress[0].text
    assert status.resource_id in bed.progress[0].text
    assert len(bed.azure.heartbeats) == 1
    assert bed.azure.heartbeats[0]["metadata"]["osSku"] == "Ubuntu 22.04.4 LTS"
    assert not bed.layout["registration"].exists()


async def test_connect_leaves_private_files_private(bed):
    async with bed.running() as himds:
        await bed.connect(himds)
        for name in ("machine_key",):
            assert stat.S_IMODE(bed.layout[name].stat().st_mode) == 0o600
        assert stat.S_IMODE(bed.layout["certificates"].stat().st_mode) == 0o750
        assert stat.S_IMODE(bed.layout["himds_socket"].stat().st_mode) == 0o600


async def test_connect_keeps_the_documented_names_in_agentconfig(bed):
    async with bed.running() as himds:
        status = await bed.connect(himds)
    document = json.loads(bed.layout["agent_config"].read_text())
    assert document["vmId"] == status.vm_id
    assert set(document) >= {
        "subscriptionId",
        "resourceGroup",
        "resourceName",
        "tenantId",
        "location",
        "cloud",
    }
    assert "person" not in bed.layout["agent_config"].read_text()


async def test_connect_a_connected_machine_ends_with_67_and_its_resource_id(bed):
    async with bed.running() as himds:
        await bed.connect(himds)
        with pytest.raises(AgentError, match=MACHINE) as caught:
            await bed.connect(himds)
    assert caught.value.number == 67


async def test_connect_a_name_of_another_machine_ends_with_44_and_creates_nothing(bed):
    path = bed.wanted()
    resource_id = AgentConfig(
        subscription_id=path.subscription_id, resource_group="arc", resource_name="web-01", vm_id="x"
    ).resource_id
    bed.azure.machines[resource_id] = {"properties": {"vmId": "other", "status": "Connected"}}
    async with bed.running() as himds:
        with pytest.raises(AgentError) as caught:
            await bed.connect(himds)
    assert caught.value.number == 44
    assert not bed.azure.asked("PUT", MACHINE)


@pytest.mark.parametrize(
    ("status", "code", "number"),
    [
        (409, "HCRP409", 44),
        (409, "MissingSubscriptionRegistration", 42),
        (400, "ReservedResourceName", 42),
        (403, "AuthorizationFailed", 42),
    ],
)
async def test_connect_refused_by_arm_ends_with_the_documented_code_and_arms_words(
    bed, refusal, status, code, number
):
    bed.azure.script("PUT", MACHINE, refusal(status, code, "because of this"))
    async with bed.running() as himds:
        with pytest.raises(AgentError) as caught:
            await bed.connect(himds)
    assert caught.value.number == number
    assert code in caught.value.message
    assert "because of this" in caught.value.message
    assert len(bed.azure.asked("PUT", MACHINE)) == 1


async def test_connect_without_read_permission_ends_with_42(bed, refusal):
    bed.azure.script("GET", MACHINE, refusal(403, "AuthorizationFailed", "no machines/read"))
    async with bed.running() as himds:
        with pytest.raises(AgentError, match="Get ARM Resource Response") as caught:
            await bed.connect(himds)
    assert caught.value.number == 42


async def test_connect_with_arm_unreachable_tries_five_times_then_42(bed):
    bed.azure.script("PUT", MACHINE, *[httpx.ConnectError("refused")] * 5)
    async with bed.running() as himds:
        with pytest.raises(AgentError) as caught:
            await bed.connect(himds)
    assert caught.value.number == 42
    assert len(bed.azure.asked("PUT", MACHINE)) == 5


async def test_connect_with_unregistered_providers_registers_only_those(bed):
    bed.azure.registered = {"microsoft.hybridcompute"}
    async with bed.running() as himds:
        await bed.connect(himds)
    assert len(bed.azure.asked("POST", "/register")) == 2


async def test_connect_without_right_to_register_goes_on(bed, refusal):
    bed.azure.registered = set()
    bed.azure.script("POST", "/register", *[refusal(403, "AuthorizationFailed")] * 3)
    async with bed.running() as himds:
        assert (await bed.connect(himds)).status == "Connected"


async def test_connect_while_a_registration_spreads_waits_for_it(bed, refusal):
    bed.azure.registered = set()
    bed.azure.script("PUT", MACHINE, *[refusal(409, "MissingSubscriptionRegistration")] * 2)
    async with bed.running() as himds:
        assert (await bed.connect(himds)).status == "Connected"


async def test_connect_to_a_group_that_is_not_there_creates_it(bed):
    async with bed.running() as himds:
        await bed.connect(himds, resource_group="fresh")
    assert "fresh" in bed.azure.groups


async def test_connect_before_the_identity_has_spread_waits_2_4_8_16_30_s(bed, refusal):
    bed.azure.script("POST", "/identity", *[refusal(403, "IdentityNotReady")] * 5)
    begin = bed.clock.now()
    async with bed.running() as himds:
        assert (await bed.connect(himds)).status == "Connected"
    assert (bed.clock.now() - begin).total_seconds() == pytest.approx(60, abs=3)


async def test_connect_with_an_identity_that_never_spreads_ends_with_81_and_keeps_the_resource(bed, refusal):
    bed.azure.script("POST", "/identity", *[refusal(403, "IdentityNotReady", "not yet")] * 6)
    async with bed.running() as himds:
        with pytest.raises(AgentError, match="not yet") as caught:
            await bed.connect(himds)
        assert caught.value.number == 81
        assert himds.status().status == "Disconnected"
    assert len(bed.azure.machines) == 1


async def test_connect_again_after_81_goes_on_with_the_same_vm_id_and_key(bed, refusal):
    bed.azure.script("POST", "/identity", *[refusal(403, "IdentityNotReady")] * 6)
    async with bed.running() as himds:
        with pytest.raises(AgentError):
            await bed.connect(himds)
        (before,) = bed.azure.machines.values()
        status = await bed.connect(himds)
    assert status.vm_id == before["properties"]["vmId"]
    assert status.status == "Connected"


async def test_connect_while_entra_does_not_know_the_principal_waits_up_to_a_minute(bed, oauth_refusal):
    bed.azure.script("POST", "/token", *[oauth_refusal(401, "invalid_client", 700016)] * 4)
    async with bed.running() as himds:
        assert (await bed.connect(himds)).status == "Connected"


async def test_connect_when_entra_never_knows_the_principal_ends_with_62(bed, oauth_refusal):
    bed.azure.script("POST", "/token", *[oauth_refusal(401, "invalid_client", 700016)] * 30)
    begin = bed.clock.now()
    async with bed.running() as himds:
        with pytest.raises(AgentError, match="failed to send a heartbeat") as caught:
            await bed.connect(himds)
    assert caught.value.number == 62
    assert 60 <= (bed.clock.now() - begin).total_seconds() < 75


async def test_restart_after_arm_has_acknowledged_finishes_without_anybodys_token(bed, refusal):
    bed.azure.script("POST", "/identity", *[refusal(500, "InternalError")] * 5)
    async with bed.running() as himds:
        with pytest.raises(AgentError):
            await bed.connect(himds)
    arm_calls = len(
        [item for item in bed.azure.requests if item.headers.get("authorization") == "Bearer person"]
    )
    async with bed.running() as himds:
        assert himds.status().registration in {"connecting", "connected"}
        for _ in range(20):
            await bed.clock.advance(seconds=30)
            if himds.status().registration == "connected":
                break
        assert himds.status().status == "Connected"
    assert arm_calls == len(
        [item for item in bed.azure.requests if item.headers.get("authorization") == "Bearer person"]
    )


async def test_connect_of_another_resource_after_a_failure_takes_a_new_vm_id(bed, refusal):
    bed.azure.script("PUT", MACHINE, refusal(400, "ReservedResourceName"))
    async with bed.running() as himds:
        with pytest.raises(AgentError):
            await bed.connect(himds)
        first = json.loads(bed.layout["registration"].read_text())["vm_id"]
        status = await bed.connect(himds, resource_name="web-02")
    assert status.vm_id != first


async def test_connect_while_another_is_going_on_ends_with_27(bed, refusal):
    bed.azure.script("POST", "/identity", *[refusal(403, "IdentityNotReady")] * 2)
    async with bed.running() as himds:
        import asyncio

        first = asyncio.ensure_future(bed.connect(himds))
        while not bed.azure.asked("POST", "/identity"):
            await asyncio.wait({first}, timeout=0.005)
        with pytest.raises(AgentError) as caught:
            await himds.control.connect(bed.wanted(), bed.report)
        assert caught.value.number == 27
        assert (await first).status == "Connected"


async def test_certificate_for_another_key_is_not_taken(bed):
    async with bed.running() as himds:
        from arcbed_agent.himds.keys import MachineKey

        other = MachineKey.generate().public_text
        bed.azure.script(
            "POST", "/identity", lambda _request: httpx.Response(200, json=bed.azure.issue("/x", other))
        )
        with pytest.raises(AgentError, match="another key") as caught:
            await bed.connect(himds)
    assert caught.value.number == 107


async def test_disconnect_deletes_the_machine_and_forgets_everything_here(bed):
    async with bed.running() as himds:
        await bed.connect(himds)
        status = await himds.control.disconnect("person", bed.report)
        assert status.status == "Disconnected"
        assert status.resource_id == ""
    assert not bed.azure.machines
    assert json.loads(bed.layout["agent_config"].read_text()) == {}
    assert not list(bed.layout["certificates"].iterdir())
    assert not bed.layout["state"].exists()
    assert not bed.layout["agent_config"].with_name("agentconfig.json.bak").exists()


async def test_disconnect_refused_by_arm_ends_with_43_and_changes_nothing_here(bed, refusal):
    bed.azure.script("DELETE", MACHINE, refusal(403, "AuthorizationFailed", "no machines/delete"))
    async with bed.running() as himds:
        await bed.connect(himds)
        before = {path: path.read_bytes() for path in bed.layout["home"].rglob("*") if path.is_file()}
        with pytest.raises(AgentError, match="AuthorizationFailed") as caught:
            await himds.control.disconnect("person", bed.report)
        after = {path: path.read_bytes() for path in bed.layout["home"].rglob("*") if path.is_file()}
        assert himds.status().status == "Connected"
    assert caught.value.number == 43
    assert before == after


async def test_disconnect_waits_for_a_deletion_that_takes_time(bed):
    monitor = httpx.Response(
        202, headers={"Location": "https://arm.test/operations/1?api-version=x", "Retry-After": "7"}
    )
    bed.azure.script("DELETE", MACHINE, monitor)
    bed.azure.script(
        "GET", "/operations/1", httpx.Response(202), httpx.Response(200, json={"status": "Succeeded"})
    )
    async with bed.running() as himds:
        await bed.connect(himds)
        status = await bed.settle(himds.control.disconnect("person", bed.report))
    assert status.status == "Disconnected"
    assert not bed.azure.scripted


async def test_disconnect_never_sends_the_token_to_another_host(bed):
    monitor = httpx.Response(202, headers={"Location": "https://elsewhere.test/operations/1"})
    bed.azure.script("DELETE", MACHINE, monitor)
    async with bed.running() as himds:
        await bed.connect(himds)
        with pytest.raises(AgentError) as caught:
            await bed.settle(himds.control.disconnect("person", bed.report))
    assert caught.value.number == 43
    assert not bed.azure.asked("GET", "elsewhere")


async def test_disconnect_local_only_asks_nobody(bed):
    async with bed.running() as himds:
        await bed.connect(himds)
        count = len(bed.azure.requests)
        status = await himds.control.disconnect(None, bed.report, force_local_only=True)
    assert status.status == "Disconnected"
    assert len(bed.azure.requests) == count
    assert len(bed.azure.machines) == 1


async def test_disconnect_then_connect_makes_a_new_identity(bed):
    async with bed.running() as himds:
        first = await bed.connect(himds)
        await himds.control.disconnect("person", bed.report)
        second = await bed.connect(himds)
    assert second.vm_id != first.vm_id
    assert second.status == "Connected"
