"""gcad beside a real himds, against a real control plane: what Azure and the machine show of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from arcbed.harness import Bed, CloudOptions, arc, policies

GROUP = "rg-policy-agent"
NAME = "AgentPolicy"


@pytest.fixture
async def bed():
    async with Bed(CloudOptions(clock="stepped", start="2026-03-01", seed="policy-agent")) as made:
        await arc.prepare(made, GROUP, with_policies=True)
        yield made


@pytest.fixture
async def web(bed):
    machine = await bed.machine("web-01", resource_group=GROUP)
    await arc.connect(bed, machine)
    (machine.root / "srv").mkdir()
    return machine


async def assigned(bed, web, **guest) -> None:
    package = policies.file_package(NAME, str(web.root / "srv/file"), "wanted")
    content = await policies.upload(bed, NAME, package)
    (await policies.assign(bed, web, content, **guest)).expect_ok()
    await bed.advance(minutes=6)


async def test_metadata_and_services_in_arm_speak_of_policies(bed, web):
    await assigned(bed, web)
    await bed.advance(minutes=6)
    properties = await arc.properties(web)
    assert properties["detectedProperties"]["policyComplianceStatus"] == "Compliant"
    assert properties["detectedProperties"]["policyComplianceDetails"] == f"{NAME}: Compliant"
    assert properties["serviceStatuses"]["guestConfigurationService"]["status"] == "active"
    assert (web.root / "srv/file").read_text() == "wanted"


async def test_disconnect_empties_the_store_before_it_returns(bed, web):
    await assigned(bed, web)
    assert (web.path("configurations") / NAME).exists()
    done = await bed.until(web.disconnect(), limit=timedelta(minutes=10))
    assert done.exit_code == 0, done.output
    for key in ("configurations", "assignments", "packages", "policy_reports"):
        assert not list(web.path(key).iterdir()), key
    assert not web.path("policy_compliance").exists()


async def test_connected_anew_it_is_another_machine_and_gets_what_that_is_assigned(bed, web):
    await assigned(bed, web)
    await bed.until(web.disconnect(), limit=timedelta(minutes=10))
    await arc.connect(bed, web)
    await bed.advance(minutes=6)
    assert not list(web.path("configurations").iterdir())
    await assigned(bed, web)
    assert await policies.compliance(bed, web, NAME) == "Compliant"


async def test_an_assignment_that_is_deleted_in_arm_goes_from_the_machine(bed, web):
    await assigned(bed, web)
    (await bed.cloud.arm.delete(policies.assignment_id(bed, web, NAME), policies.GUEST_VERSION)).expect_ok()
    await bed.advance(minutes=6)
    assert not (web.path("configurations") / NAME).exists()


async def test_protected_parameters_reach_the_machine_and_nobody_else(bed, web):
    secret = [{"name": f"[nxFile]{NAME};Contents", "value": "s3cret-of-the-policy"}]
    await assigned(bed, web, configurationProtectedParameter=secret)
    assert (web.root / "srv/file").read_text() == "s3cret-of-the-policy"
    shown = str((await policies.guest(bed, web, NAME)).body)
    logs = web.path("gc_agent_log").read_text() + web.path("gc_worker_log").read_text()
    assert "s3cret-of-the-policy" not in shown + logs


async def test_killed_and_started_again_the_agent_goes_on(bed, web):
    await assigned(bed, web)
    await web.kill_policy_agent()
    (web.root / "srv/file").write_text("drift")
    await web.start_policy_agent()
    await bed.advance(minutes=4)
    assert await policies.compliance(bed, web, NAME) == "NonCompliant"
    await bed.advance(minutes=16)
    assert await policies.compliance(bed, web, NAME) == "Compliant"
