"""The agent is upgraded: by the service's request, and by hand with nothing newer to be had."""

from __future__ import annotations

from typing import Any

from arcbed.harness import Bed, CloudOptions, arc
from arcbed.harness.checks import contains, equal, eventually, exited
from arcbed.harness.packages import OFFLINE, agent_packages, shell, version
from arcbed.harness.scenario import scenario

GROUP = "rg-upgraded"
NAME = "server-01"
INSTALL = "wget -q https://aka.ms/azcmagent -O /root/install.sh && bash /root/install.sh"
#: himds has its socket; the portal's script sleeps five seconds for it.
LISTENING = "timeout 30 bash -c 'until [ -S /var/opt/azcmagent/socks/himds.sock ]; do sleep 0.1; done'"
KEPT = "cat /var/opt/azcmagent/agentconfig.json"
#: PID 1 with the moment it was started, and the kernel's boot.
UNTOUCHED = "cut -d' ' -f22 /proc/1/stat; cat /proc/sys/kernel/random/boot_id"


@scenario(
    "Upgrade the agent",
    options=CloudOptions(heartbeat_throttle=False),
    needs=("installation", "names"),
)
async def story(bed: Bed) -> None:
    """A machine gets the version that its resource asks for, keeps what it is, and nothing else restarts."""
    await arc.prepare(bed, GROUP)
    old, new = agent_packages(2)
    await bed.cloud.host.admin.publish(old)
    server = await bed.machine(
        NAME,
        resource_group=GROUP,
        bare=True,
        heartbeat_seconds=1,
        environment={"ARC_IMDS_ADDRESS": "127.0.0.1:1"},
    )
    exited(await shell(server, f"{OFFLINE}; {INSTALL} && {LISTENING}"), 0)
    exited(await server.connect("--resource-group", GROUP), 0)
    before = (await shell(server, UNTOUCHED)).stdout
    identity = (await shell(server, KEPT)).stdout

    async with bed.step(
        "A version that the repository does not have is refused, and said so", ["upgrade.failed"]
    ):
        await ask(bed, desiredVersion="9.9", correlationId="c-1")
        told = await ended(bed, "Failed")
        contains("message", told["agentUpgrade"]["lastAttemptMessage"], "is not in the package repository")
        equal("version", told["agentVersion"], version(old))

    async with bed.step("The version that the resource asks for is installed", ["upgrade.desired-version"]):
        await bed.cloud.host.admin.publish(new)
        await ask(bed, desiredVersion=".".join(version(new).split(".")[:2]), correlationId="c-2")
        told = await ended(bed, "Success")
        equal("version in Azure", told["agentVersion"], version(new))
        contains("azcmagent version", (await shell(server, "azcmagent version")).stdout, version(new))

    async with bed.step("The machine is the same, and nothing else was restarted", ["upgrade.no-restart"]):
        equal("agentconfig.json", (await shell(server, KEPT)).stdout, identity)
        equal("PID 1 and boot", (await shell(server, UNTOUCHED)).stdout, before)
        exited(await shell(server, "systemctl is-active himdsd"), 0)


async def ask(bed: Bed, **wanted: str) -> None:
    """Set the machine's `agentUpgrade`."""
    machine = (await bed.cloud.machine(GROUP, NAME)).body["id"]
    equal("PATCH", (await bed.cloud.arm.patch(machine, {"properties": {"agentUpgrade": wanted}})).status, 200)


async def ended(bed: Bed, status: str) -> dict[str, Any]:
    """The machine's properties, once its newest attempt has ended so and its agent has said so."""

    async def there() -> dict[str, Any] | None:
        found: dict[str, Any] = (await bed.cloud.machine(GROUP, NAME)).body["properties"]
        return found if found.get("agentUpgrade", {}).get("lastAttemptStatus") == status else None

    return await eventually(f"an upgrade with {status}", there, within=90)
