"""Pushes over a real relay socket with real daemons: what ARM is told, machines hear at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.packages import package

from arcbed.harness import Bed, CloudOptions
from arcbed.harness.checks import eventually, exited

BIN = Path(sys.executable).parent
PROBE = {"publisher": "Contoso.Tools", "type": "Probe", "autoUpgradeMinorVersion": True}
#: Nobody would poll within the time of a test.
NEVER = {"extd.pullSeconds": 3_000, "gcad.pullSeconds": 3_000, "himds.heartbeatSeconds": 3_000}


def channels(machine) -> int:
    """How often himds has opened its channel."""
    return machine.path("himds_log").read_text().count("Notification channel is open")


@pytest.fixture
async def bed():
    async with Bed(options=CloudOptions()) as bed:
        await bed.cloud.register()
        yield bed


async def connected(bed):
    await bed.cloud.new_group("push")
    web = await bed.machine("web-01", resource_group="push", config=NEVER)
    exited(await web.connect(), 0)

    async def opened() -> bool:
        return channels(web) > 0

    await eventually("the channel is open", opened)
    return web


async def test_extension_that_is_put_reaches_the_machine_without_a_poll(bed, tmp_path):
    made = package(tmp_path)
    state = bed.cloud.env["caFile"].rpartition("/")[0]
    published = subprocess.run(
        [BIN / "fakecloud", "extension", "publish", made, "--state", state], check=False
    )
    assert published.returncode == 0
    web = await connected(bed)
    path = bed.cloud.arm.machine_id("push", "web-01") + "/extensions/probe"
    answer = await bed.cloud.arm.put(path, {"location": "westeurope", "properties": PROBE}, "2024-07-10")
    assert answer.status == 202

    async def heard() -> bool:
        return "Extension 'probe' has a new goal" in web.path("gc_ext_log").read_text()

    await eventually("extd has pulled", heard)


async def test_assignment_that_is_put_reaches_the_machine_without_a_poll(bed):
    await bed.cloud.register("Microsoft.GuestConfiguration")
    web = await connected(bed)
    kind = "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments"
    path = f"{bed.cloud.arm.machine_id('push', 'web-01')}/{kind}/Probe"
    body = {
        "location": "westeurope",
        "properties": {"guestConfiguration": {"name": "Probe", "version": "1.0"}},
    }
    (await bed.cloud.arm.put(path, body, "2022-01-25")).expect_ok()

    async def heard() -> bool:
        return "Assignments were received, return code 200" in web.path("gc_agent_log").read_text()

    await eventually("gcad has pulled", heard)


async def test_control_plane_with_open_channels_stops_at_once(bed):
    web = await connected(bed)
    await asyncio.wait_for(bed.cloud.host.stop(), 10)

    async def noticed() -> bool:
        return "Notification channel was closed" in web.path("himds_log").read_text()

    await eventually("himds has noticed", noticed)
    await bed.cloud.host.start()
