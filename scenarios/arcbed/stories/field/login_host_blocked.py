"""The host of Microsoft Entra is blocked, and only that.

A documented cause of AZCM0041, in "Troubleshoot Azure Connected Machine agent connection issues".
"""

from __future__ import annotations

import asyncio

from arcbed.harness import Bed, arc
from arcbed.harness.checks import equal, eventually, exited, true
from arcbed.harness.scenario import scenario

GROUP = "rg-no-login"
LOGIN = "login.microsoftonline.com"


@scenario("Entra's host is blocked", needs=("network", "names"))
async def story(bed: Bed) -> None:
    """The network check says it first; past the check it is the sign-in that fails."""
    await arc.prepare(bed, GROUP)
    plant = await bed.machine("plant-01", resource_group=GROUP)

    async with plant.blocked(LOGIN):
        async with bed.step("The network check names the host", ["onboarding.endpoint-unreachable"]):
            exited(await plant.connect(), 26, "AZCM0026", f"https://{LOGIN}")

        async with bed.step("Past the check, a person cannot sign in", ["onboarding.login-unreachable"]):
            refused = await plant.azcmagent(
                *("connect", "--use-device-code", "--ignore-network-check"),
                *("--subscription-id", bed.cloud.subscription_id, "--resource-group", GROUP),
                *("--tenant-id", bed.cloud.tenant_id, "--location", "westeurope"),
            )
            exited(refused, 41, "AZCM0041", LOGIN)
            equal("connection data", plant.agent_config(), {})

        async with bed.step("A script with a principal goes on trying"):
            connecting = asyncio.create_task(plant.connect("--ignore-network-check"))

            async def signs_in() -> bool:
                last = plant.path("cli_log").read_text().rpartition("azcmagent connect")[2]
                return "--ignore-network-check" in last

            await eventually("azcmagent tries to sign in", signs_in)
            true("it has not given up", not connecting.done())

    async with bed.step("With the rule gone it connects", ["onboarding.login-retried"]):
        exited(await connecting, 0, "Connected machine to Azure")
