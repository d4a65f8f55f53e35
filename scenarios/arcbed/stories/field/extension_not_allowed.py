"""An extension fails at once because the machine does not allow it: block list, allow list, monitor mode.

From the security overview of Azure Arc-enabled servers: the lists are local, Azure only shows what follows.
"""

from __future__ import annotations

from arcbed import handlers
from arcbed.harness import Bed, Machine, arc, extensions
from arcbed.harness.checks import contains, equal, exited, true
from arcbed.harness.scenario import scenario

GROUP = "rg-lists"
PROBE = "probe"


@scenario("An extension that the machine does not allow", options=arc.STEPPED)
async def story(bed: Bed) -> None:
    """Each of the three switches refuses, says so in ARM, and lets the same PUT through once it is turned."""
    web = await arc.onboard(bed, "web-01", GROUP)
    kind = await extensions.publish(bed, "well_behaved")
    full = f"{handlers.PUBLISHER}/{kind}"

    async with bed.step("The block list has it: nothing is even downloaded", ["extension.block-list"]):
        exited(await web.azcmagent("config", "set", "extensions.blocklist", full), 0)
        await refused(bed, web, kind, "extensions.blocklist")
        equal("what ran", extensions.commands(web, kind), [])
        true("there is no folder", not extensions.folder(web, kind).exists())
        await bed.advance(minutes=11)  # the next heartbeat tells it
        listed = (await arc.properties(web))["agentConfiguration"]["extensionsBlockList"]
        equal("ARM shows the list", listed, [{"publisher": handlers.PUBLISHER, "type": kind}])

    async with bed.step("Taken off it, the same PUT succeeds", ["extension.block-list"]):
        exited(await web.azcmagent("config", "set", "extensions.blocklist", full.lower(), "--remove"), 0)
        equal("in ARM", await put(bed, web, kind), "Succeeded")
        equal("what ran", extensions.verbs(web, kind), ["install", "enable"])

    async with bed.step("An allow list without it: it cannot be changed any more", ["extension.allow-list"]):
        exited(await web.azcmagent("config", "set", "extensions.allowlist", "Contoso.Tools/Other"), 0)
        await refused(bed, web, kind, "extensions.allowlist", colour="green")
        equal("what ran since", extensions.verbs(web, kind)[2:], [])
        true("what is installed stays", (extensions.folder(web, kind) / "HandlerManifest.json").is_file())

    async with bed.step(
        "On both lists: the block list wins", ["extension.allow-list", "extension.block-list"]
    ):
        exited(await web.azcmagent("config", "set", "extensions.allowlist", full, "--add"), 0)
        exited(await web.azcmagent("config", "set", "extensions.blocklist", full), 0)
        await refused(bed, web, kind, "extensions.blocklist", colour="green")
        exited(await web.azcmagent("config", "clear", "extensions.blocklist"), 0)

    async with bed.step("Allowed, the same PUT succeeds", ["extension.allow-list"]):
        equal("in ARM", await put(bed, web, kind, colour="green"), "Succeeded")
        equal("what ran since", extensions.verbs(web, kind)[2:], ["enable"])

    async with bed.step(
        "In monitor mode Microsoft's list counts, not the machine's", ["extension.monitor-mode"]
    ):
        exited(await web.azcmagent("config", "set", "config.mode", "monitor"), 0)
        await refused(bed, web, kind, "monitor mode", colour="blue")
        equal("what ran since", extensions.verbs(web, kind)[3:], [])

    async with bed.step("Back in full mode, the same PUT succeeds", ["extension.monitor-mode"]):
        exited(await web.azcmagent("config", "set", "config.mode", "full"), 0)
        equal("in ARM", await put(bed, web, kind, colour="blue"), "Succeeded")

    async with bed.step("What is not allowed can still be deleted", ["extension.deleted"]):
        exited(await web.azcmagent("config", "set", "extensions.allowlist", "Allow/None"), 0)
        (await extensions.delete(bed, web, PROBE)).expect_ok()
        equal("in ARM", await extensions.settled(bed, web, PROBE), "")
        equal("what ran since", extensions.verbs(web, kind)[4:], ["disable", "uninstall"])


async def put(bed: Bed, web: Machine, kind: str, **settings: str) -> str:
    """PUT the extension; its `provisioningState` at the end."""
    (await extensions.put(bed, web, PROBE, kind, settings=settings)).expect_ok()
    return await extensions.settled(bed, web, PROBE)


async def refused(bed: Bed, web: Machine, kind: str, reason: str, **settings: str) -> None:
    """PUT the extension, which the machine refuses and says why, in ARM and in its log."""
    equal("in ARM", await put(bed, web, kind, **settings), "Failed")
    message = await extensions.message(bed, web, PROBE)
    contains("its message in ARM", message, f"{handlers.PUBLISHER}/{kind}")
    contains("its message in ARM", message, reason)
    contains("gc_ext.log", web.path("gc_ext_log").read_text(), message)
