"""A firewall that inspects TLS resets the handshake with one of the required endpoints.

Reported with ``EOF`` and ``remote error: tls: handshake failure`` in the log, while names and ports are fine.
"""

from __future__ import annotations

from arcbed.harness import Bed, arc
from arcbed.harness.checks import contains, equal, exited
from arcbed.harness.scenario import scenario

GROUP = "rg-inspected"
RESET = "agentserviceapi.guestconfiguration.azure.com"


@scenario("A firewall resets TLS with one endpoint", needs=("network", "names"))
async def story(bed: Bed) -> None:
    """What a person sees, that the name is right and the route too, and what they can do meanwhile."""
    await arc.prepare(bed, GROUP)
    till = await bed.machine("till-01", resource_group=GROUP)

    async with till.blocked(RESET):
        async with bed.step("Refused, and one host is named", ["onboarding.endpoint-unreachable"]):
            refused = await till.connect()
            exited(refused, 26, "AZCM0026", f"required endpoints unavailable: https://{RESET} (error: ")
            equal("hosts that are named", refused.output.count("(error: "), 1)
            contains("the log", till.path("cli_log").read_text(), "level=fatal")

        async with bed.step("Its name resolves and its port is open", ["field.only-the-handshake-fails"]):
            exited(await till.command("getent", "hosts", RESET), 0)
            opened = await till.command("bash", "-c", f"exec 3<>/dev/tcp/{RESET}/443")
            exited(opened, 0)

        async with bed.step("It connects when told to ignore that", ["onboarding.ignore-network-check"]):
            exited(await till.connect("--ignore-network-check"), 0)
            exited(await till.azcmagent("check"), 26)

    async with bed.step("With the rule gone everything is reachable", ["network.check-names-every-host"]):
        exited(await till.azcmagent("check"), 0)
