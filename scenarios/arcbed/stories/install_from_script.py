"""The portal's script on a plain Debian: the agent is installed, connected, and removed again."""

from __future__ import annotations

from arcbed.harness import Bed, CloudOptions, arc
from arcbed.harness.checks import contains, equal, exited
from arcbed.harness.packages import OFFLINE, agent_packages, shell
from arcbed.harness.scenario import scenario
from arcbed.portal import Onboarding, Principal, linux_script

GROUP = "rg-installed"
TAGS = {"Datacenter": "DC-3", "City": "Amsterdam"}
LEFT = "ls -d /opt/azcmagent /var/opt/azcmagent /var/lib/GuestConfig 2>/dev/null; true"


@scenario(
    "Install with the portal's script",
    options=CloudOptions(heartbeat_throttle=False),
    needs=("installation", "names"),
)
async def story(bed: Bed) -> None:
    """What an administrator pastes from the portal works unchanged, from download to Connected."""
    await arc.prepare(bed, GROUP)
    await bed.cloud.host.admin.publish(*agent_packages())
    server = await bed.machine(
        "server-01", resource_group=GROUP, bare=True, environment={"ARC_IMDS_ADDRESS": "127.0.0.1:1"}
    )
    exited(await shell(server, OFFLINE), 0)

    async with bed.step("The script is pasted, and the machine appears", ["install.portal-script"]):
        exited(await shell(server, script(bed)), 0, "Latest version of azcmagent is installed.")
        found = (await bed.cloud.machine(GROUP, "server-01")).body
        equal("status", found["properties"]["status"], "Connected")
        equal("tags", found["tags"], TAGS)

    async with bed.step("The agent is a service that starts with the machine", ["install.service"]):
        exited(await shell(server, "systemctl is-active himdsd && systemctl is-enabled himdsd"), 0)

    async with bed.step("Removing the package leaves its data and the resource", ["install.removal"]):
        exited(await shell(server, "apt-get purge -y azcmagent"), 0)
        left = (await shell(server, LEFT)).stdout.splitlines()
        equal("what is left", left, ["/var/lib/GuestConfig", "/var/opt/azcmagent"])
        kept = await shell(server, "cat /var/opt/azcmagent/agentconfig.json")
        contains("agentconfig.json", kept.stdout, "server-01")
        equal("the resource", (await bed.cloud.machine(GROUP, "server-01")).status, 200)


def script(bed: Bed) -> str:
    """What `arcbed onboarding-script --auth-type principal` prints."""
    principal = bed.cloud.env["onboarding"]
    return linux_script(
        Onboarding(
            subscription_id=bed.cloud.subscription_id,
            resource_group=GROUP,
            tenant_id=bed.cloud.tenant_id,
            location="westeurope",
            correlation_id="5a1d1d9e-4a0c-4a2f-9f6b-6a3d1d0b8c11",
            tags=TAGS,
            principal=Principal(principal["clientId"], principal["clientSecret"]),
        )
    )
