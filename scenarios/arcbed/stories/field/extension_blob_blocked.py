"""An extension cannot be installed because firewall or proxy block the storage hosts that packages come from.

The agent has tried ten times before it gives up since 1.50; before that people saw a time-out and no reason.
"""

from __future__ import annotations

from arcbed.harness import Bed, arc, extensions
from arcbed.harness.checks import contains, equal, true
from arcbed.harness.scenario import scenario

GROUP = "rg-storage"
PROBE = "probe"
STORAGE = "*.blob.core.windows.net"
TRIES = 10


@scenario("Storage hosts are blocked for extensions", options=arc.STEPPED)
async def story(bed: Bed) -> None:
    """Everything else of the table of required hosts is open, so that the machine is Connected and well."""
    web = await arc.onboard(bed, "web-01", GROUP, by_name=True)
    kind = await extensions.publish(bed, "well_behaved")

    async with web.blocked(STORAGE):
        async with bed.step("Ten tries, and then Failed with the reason", ["extension.package-unreachable"]):
            (await extensions.put(bed, web, PROBE, kind, forceUpdateTag="first")).expect_ok()
            equal("in ARM", await extensions.settled(bed, web, PROBE, minutes=30), "Failed")
            message = await extensions.message(bed, web, PROBE)
            contains("its message", message, "The package cannot be downloaded")
            contains("its message", message, "blob.core.windows.net")
            log = web.path("gc_ext_log").read_text()
            equal("tries", log.count("Download failed ("), TRIES)
            true("no signature is told", "sig=" not in message + log)
            equal("what ran", extensions.commands(web, kind), [])

        async with bed.step("The machine is Connected all the while", ["extension.package-unreachable"]):
            equal("status", await arc.status(web), "Connected")

    async with bed.step(
        "Let through, nothing happens of itself: the operation has ended", ["extension.package-unreachable"]
    ):
        await bed.advance(hours=1)
        equal("in ARM", await extensions.state(bed, web, PROBE), "Failed")
        equal("what ran", extensions.commands(web, kind), [])

    async with bed.step("Another PUT succeeds", ["extension.package-unreachable", "extension.installed"]):
        (await extensions.put(bed, web, PROBE, kind, forceUpdateTag="second")).expect_ok()
        equal("in ARM", await extensions.settled(bed, web, PROBE), "Succeeded")
        equal("what ran", extensions.verbs(web, kind), ["install", "enable"])
