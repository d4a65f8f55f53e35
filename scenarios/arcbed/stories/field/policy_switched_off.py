"""A policy is always non-compliant because guest configuration was switched off on the machine itself.

From the security overview of Azure Arc-enabled servers: the switch is local, Azure only shows what follows.
"""

from __future__ import annotations

from arcbed.harness import Bed, arc, policies
from arcbed.harness.checks import contains, equal, exited, true
from arcbed.harness.policies import compliance, policy_state
from arcbed.harness.scenario import scenario
from arcbed.harness.tally import Tally

GROUP = "rg-off"
NAME = "OffPolicy"


@scenario("Guest configuration switched off locally", options=arc.STEPPED)
async def story(bed: Bed) -> None:
    """``azcmagent config set guestconfiguration.enabled false``: no policy can be met."""
    web = await arc.onboard(bed, "web-01", GROUP, with_policies=True, config={"gcad.jitterPercent": 0})
    exited(await web.command("mkdir", "-p", str(web.root / "srv")), 0)
    (web.root / "srv" / "off").write_text("wanted")
    exited(await web.azcmagent("config", "set", "guestconfiguration.enabled", "false"), 0)
    package = policies.file_package(NAME, str(web.root / "srv/off"), "wanted")
    assigned = await policies.audit_policy(bed, GROUP, await policies.upload(bed, NAME, package))

    async with bed.step("The machine is well, and nothing happens", ["policy.switched-off-locally"]):
        since = await bed.time.now()
        await bed.advance(hours=3)
        equal("in ARM", await compliance(bed, web, NAME), "Pending")
        equal("the policy", await policy_state(bed, web, assigned), "NonCompliant")
        true("nothing was fetched", not (web.path("configurations") / NAME / f"{NAME}.mof").exists())
        machine = await arc.properties(web)
        equal("status of the machine", machine["status"], "Connected")
        found = await Tally(bed).events(since, await bed.time.now(), task="web-01/gcad/pull")
        equal("requests of gcad since then", found["count"], 0)

    async with bed.step("ARM shows the switch to those who look", ["policy.switched-off-locally"]):
        equal("in agentConfiguration", machine["agentConfiguration"]["guestConfigurationEnabled"], "false")
        listing = await web.azcmagent("config", "list")
        contains("azcmagent config list", listing.output, "guestconfiguration.enabled")

    async with bed.step("Switched on again, it is compliant within minutes", ["policy.assignment-arrives"]):
        exited(await web.azcmagent("config", "set", "guestconfiguration.enabled", "true"), 0)
        await bed.advance(minutes=6)
        equal("in ARM", await compliance(bed, web, NAME), "Compliant")
        equal("the policy", await policy_state(bed, web, assigned), "Compliant")
