"""An extension stays in Deleting: its machine is away, or a file of its folder has been tidied away.

Reported in the issues of Azure/azure-cli and in the troubleshooting article of VM extensions: before agent
1.66 a handler without its manifest could never be uninstalled; now the manifest comes back from the package.
"""

from __future__ import annotations

from arcbed import handlers
from arcbed.harness import Bed, Machine, arc, extensions
from arcbed.harness.checks import contains, equal, exited, true
from arcbed.harness.scenario import scenario

GROUP = "rg-stuck"
PROBE = "probe"


@scenario("An extension that stays in Deleting", options=arc.STEPPED)
async def story(bed: Bed) -> None:
    """Twice it looks as if nothing happened; each time it is told why, and there is a way out."""
    web = await arc.onboard(bed, "web-01", GROUP)
    kind = await extensions.publish(bed, "well_behaved")
    await waits_for_its_machine(bed, web, kind)
    await lacks_its_manifest(bed, web, kind)
    await lacks_its_package_too(bed, web, kind)
    await belongs_to_nobody(bed, web, kind)


async def waits_for_its_machine(bed: Bed, web: Machine, kind: str) -> None:
    """The service of the agent is stopped."""
    async with bed.step("The machine is away: Deleting, for hours", ["extension.waits-for-its-machine"]):
        await installed(bed, web, kind)
        await web.stop_extension_manager()
        (await extensions.delete(bed, web, PROBE)).expect_ok()
        await bed.advance(hours=5, minutes=59)
        equal("in ARM", await extensions.state(bed, web, PROBE), "Deleting")

    async with bed.step(
        "After six hours ARM gives up; it is still there", ["extension.waits-for-its-machine"]
    ):
        await bed.advance(minutes=2)
        equal("in ARM", await extensions.state(bed, web, PROBE), "Failed")
        true("it is on the machine", (extensions.folder(web, kind) / "HandlerManifest.json").is_file())

    async with bed.step("With the machine back another DELETE helps", ["extension.deleted"]):
        await web.start_extension_manager()
        await bed.advance(minutes=6)
        equal("of itself nothing happens", extensions.verbs(web, kind), ["install", "enable"])
        (await extensions.delete(bed, web, PROBE)).expect_ok()
        equal("in ARM", await extensions.settled(bed, web, PROBE), "")
        equal("what ran", extensions.verbs(web, kind), ["install", "enable", "disable", "uninstall"])


async def lacks_its_manifest(bed: Bed, web: Machine, kind: str) -> None:
    """Somebody has tidied up."""
    async with bed.step(
        "Without its manifest: it comes back from the package, and the handler is uninstalled",
        ["extension.lost-manifest"],
    ):
        await installed(bed, web, kind)
        before = len(extensions.verbs(web, kind))
        await remove(web, str(extensions.folder(web, kind) / "HandlerManifest.json"))
        (await extensions.delete(bed, web, PROBE)).expect_ok()
        equal("in ARM", await extensions.settled(bed, web, PROBE), "")
        contains(
            "gc_ext.log",
            web.path("gc_ext_log").read_text(),
            f"HandlerManifest.json file does not exist for extension {handlers.PUBLISHER}.{kind}-1.0.0",
        )
        equal("what ran", extensions.verbs(web, kind)[before:], ["disable", "uninstall"])
        true("the folder is gone", not extensions.folder(web, kind).exists())


async def lacks_its_package_too(bed: Bed, web: Machine, kind: str) -> None:
    """Somebody has tidied up well."""
    async with bed.step(
        "Without its package either: it goes, and the log says that nothing was uninstalled",
        ["extension.lost-manifest"],
    ):
        await installed(bed, web, kind)
        before = len(extensions.verbs(web, kind))
        package = web.path("extension_downloads") / f"{handlers.PUBLISHER}.{kind}__1.0.0.zip"
        true("the package is kept", package.is_file())
        await remove(web, str(package))
        await remove(web, str(extensions.folder(web, kind) / "HandlerManifest.json"))
        (await extensions.delete(bed, web, PROBE)).expect_ok()
        equal("in ARM", await extensions.settled(bed, web, PROBE), "")
        equal("what ran", extensions.verbs(web, kind)[before:], [])
        contains(
            "gc_ext.log", web.path("gc_ext_log").read_text(), f"uninstall of {handlers.PUBLISHER}.{kind}"
        )
        true("the folder is gone", not extensions.folder(web, kind).exists())


async def belongs_to_nobody(bed: Bed, web: Machine, kind: str) -> None:
    """The machine does not come back."""
    async with bed.step(
        "The machine never comes back: the extension goes with its resource",
        ["extension.goes-with-its-machine"],
    ):
        await installed(bed, web, kind)
        await web.stop()
        (await extensions.delete(bed, web, PROBE)).expect_ok()
        await bed.advance(hours=1)
        equal("in ARM", await extensions.state(bed, web, PROBE), "Deleting")
        (await bed.cloud.arm.delete(bed.cloud.arm.machine_id(GROUP, web.name))).expect_ok()
        equal("in ARM", (await extensions.get(bed, web, PROBE)).error_code, "ParentResourceNotFound")


async def installed(bed: Bed, web: Machine, kind: str) -> None:
    """Have the extension there."""
    (await extensions.put(bed, web, PROBE, kind)).expect_ok()
    equal("in ARM", await extensions.settled(bed, web, PROBE), "Succeeded")


async def remove(web: Machine, path: str) -> None:
    """Remove a file of the machine."""
    exited(await web.command("rm", path), 0)
