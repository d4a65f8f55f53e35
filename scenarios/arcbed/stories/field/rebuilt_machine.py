"""A machine is rebuilt with its old name while its resource is still there.

The documented cause of AZCM0044 in "Troubleshoot Azure Connected Machine agent connection issues".
"""

from __future__ import annotations

from arcbed.harness import Bed, arc
from arcbed.harness.checks import equal, exited, true
from arcbed.harness.scenario import scenario

GROUP = "rg-rebuilt"


@scenario("Rebuilt under the same name")
async def story(bed: Bed) -> None:
    """The old machine is gone without a goodbye; the new one meets its resource."""
    cloud = bed.cloud
    old = await arc.onboard(bed, "db-01", GROUP)
    before = await arc.resource(old)
    await old.kill()
    new = await bed.machine("db-01-rebuilt", resource_group=GROUP)

    async with bed.step("The name is taken by the machine that is gone", ["onboarding.name-taken"]):
        exited(await new.connect(name="db-01"), 44, "AZCM0044")
        equal("connection data", new.agent_config(), {})
        after = await arc.resource(old)
        equal("the old resource's vmId", after["properties"]["vmId"], before["properties"]["vmId"])

    async with bed.step(
        "Its resource is deleted, and the new machine connects", ["onboarding.rebuilt-machine"]
    ):
        arm = cloud.arm
        (await arm.finished(await arm.delete(arm.machine_id(GROUP, "db-01")))).expect_ok()
        exited(await new.connect(name="db-01"), 0)
        after = await arc.resource(old)
        true("the vmId is a new one", after["properties"]["vmId"] != before["properties"]["vmId"])
        true("so is the principal", after["identity"]["principalId"] != before["identity"]["principalId"])
