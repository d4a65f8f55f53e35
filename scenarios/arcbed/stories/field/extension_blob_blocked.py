"""An extension cannot be installed because firewall or proxy block the storage hosts that packages come from.

The agent has tried ten times before it gives up since 1.50; before that people saw a time-out and no reason.
"""

from __future__ import annotations

from datetime import timedelta

from arcbed.harness import Bed, CloudOptions, extensions
from arcbed.harness.checks import contains, equal, exited, true
from arcbed.harness.scenario import scenario

GROUP = "rg-storage"
PROBE = "probe"
STORAGE = "*.blob.core.windows.net"
TRIES = 10


@scenario(
    "Storage hosts are blocked for extensions", options=CloudOptions(clock="stepped", start="2026-03-01")
)
async def story(bed: Bed) -> None:
    """Everything else of the table of required hosts is open, so that the machine is Connected and well."""
    await bed.cloud.register()
    await bed.cloud.new_group(GROUP)
    web = await bed.machine("web-01", resource_group=GROUP, by_name=True)
    exited(await bed.until(web.connect(), limit=timedelta(minutes=10)), 0)
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
            machine = (await bed.cloud.machine(GROUP, web.name)).expect_ok().body["properties"]
            equal("status", machine["status"], "Connected")

    async with bed.step(
        "Let through, nothing happens of itself: the operation has ended", ["extension.package-unreachable"]
    ):
        await bed.advance(hours=1)
        equal("in ARM", await extensions.state(bed, web, PROBE), "Failed")
        equal("what ran", extensions.commands(web, kind), [])

    async with bed.step("Another PUT succeeds", ["extension.package-unreachable", "extension.installed"]):
        (await extensions.put(bed, web, PROBE, kind, forceUpdateTag="second")).expect_ok()
        equal("in ARM", await extensions.settled(bed, web, PROBE), "Succeeded")
        equal("what ran", [one.command for one in extensions.runs(web, kind)], ["install", "enable"])
