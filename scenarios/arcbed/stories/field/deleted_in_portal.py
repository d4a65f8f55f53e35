"""Somebody deletes the machine in the portal while its agent stays configured.

Reported often enough to have a paragraph in "Clean up and remove Azure Arc-enabled servers": only
``disconnect --force-local-only`` helps.
"""

from __future__ import annotations

from arcbed.harness import Bed, CloudOptions, arc
from arcbed.harness.checks import equal, eventually, exited, true
from arcbed.harness.scenario import scenario

GROUP = "rg-portal"


@scenario(
    "Deleted in the portal, still configured on the machine", options=CloudOptions(heartbeat_throttle=False)
)
async def story(bed: Bed) -> None:
    """The resource goes away on one side only; the agent cannot know, and must not lose its files over it."""
    cloud = bed.cloud
    shop = await arc.onboard(bed, "shop-01", GROUP, heartbeat_seconds=1)
    arm_id = cloud.arm.machine_id(GROUP, shop.name)

    async with bed.step("The owner deletes the resource in Azure", ["identity.gone-with-resource"]):
        (await cloud.arm.finished(await cloud.arm.delete(arm_id))).expect_ok()
        equal("the resource", (await cloud.machine(GROUP, shop.name)).status, 404)

    async with bed.step(
        "The agent stays configured and finds no way home", ["disconnect.one-sided-deletion"]
    ):

        async def noticed() -> bool:
            return bool((await shop.show())["agentErrorCode"] == "MachineNotFound")

        await eventually("azcmagent show says that the machine is gone", noticed)
        equal("resourceName in agentconfig.json", shop.agent_config().get("resourceName"), shop.name)
        answer = await shop.try_token("https://vault.azure.net")
        true("a token is refused", answer.status_code >= 400, answer.status_code)
        exited(await shop.connect(), 67)

    async with bed.step("A local reset helps", ["disconnect.force-local-only"]):
        exited(await shop.disconnect_locally(), 0)
        equal("connection data", shop.agent_config(), {})

    async with bed.step("And the machine comes back under its name", ["disconnect.connect-again"]):
        exited(await shop.connect(), 0)
        equal("status", await arc.status(shop), "Connected")
