"""An extension from its PUT in ARM to a running handler and back, with all that goes wrong on the way."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from arcbed import handlers
from arcbed.harness import Bed, NotCoveredError, arc, extensions
from arcbed.harness.arm import Answer
from arcbed.harness.checks import contains, equal, exited, true
from arcbed.harness.extensions import Gate, Stage
from arcbed.harness.scenario import scenario

GROUP = "rg-extensions"
SECRET = "correct-horse-battery-staple"
PROBE = "probe"
#: The account of the bed's own storage that packages are kept in.
STORAGE = "arcbedextensions"


@scenario("An extension from its PUT to a running handler and back", options=arc.STEPPED)
async def story(bed: Bed) -> None:
    """Small, real handlers are published, given to a machine through ARM, and do what goal states say.

    Each step looks at three places: ARM, the files on the machine, and the handler's own note of every run of
    a command. The clock stands still while a handler runs; named pipes hold handlers where the story wants
    something to happen meanwhile.
    """
    web = await arc.onboard(bed, "web-01", GROUP, config={"extd.jitterPercent": 0}, cuttable=True)
    stage = Stage(bed, web)
    await installs(stage)
    await follows_its_settings(stage)
    await upgrades(stage)
    await fails_to_upgrade(stage)
    await keeps_an_order(stage)
    await loses_its_package(stage)
    await meets_a_bad_network(stage)
    await survives_kills(stage)
    await obeys_the_machine(stage)
    await goes(stage)


# -- a good life ---------------------------------------------------------------------------------------------


async def installs(stage: Stage) -> None:
    """From the PUT to Succeeded."""
    bed, web = stage.bed, stage.web
    async with bed.step(
        "A PUT installs and enables the handler",
        ["extension.installed", "extension.status-is-the-handlers", "extension.secrets-stay-secret"],
    ):
        kind = await extensions.publish(bed, "well_behaved")
        answer = await stage.put(
            PROBE,
            kind,
            typeHandlerVersion="1.0",
            settings={"colour": "blue"},
            protectedSettings={"password": SECRET},
        )
        for header in ("azure-asyncoperation", "location"):
            true(f"the answer has {header}", header in answer.headers, dict(answer.headers))
        equal("in ARM at first", await extensions.state(bed, web, PROBE), "Creating")
        equal("in ARM", await stage.settled(PROBE), "Succeeded")
        equal("what ran", stage.ran(kind), ["1.0.0 install 0", "1.0.0 enable 0"])
        told = "Extension Message: Enabled version 1.0.0 with sequence number 0"
        equal("its own words in ARM", await stage.message(PROBE), told)
        folder = extensions.folder(web, kind)
        for name in (
            "HandlerManifest.json",
            "HandlerEnvironment.json",
            "config/0.settings",
            "status/0.status",
        ):
            true(f"{name} is there", (folder / name).is_file())
        settings = (folder / "config/0.settings").read_text()
        contains("the settings", settings, '"colour": "blue"')
        true("protected settings are encrypted on disk", SECRET not in settings, settings)
        shown = await stage.view(PROBE)
        true("and not in ARM", SECRET not in json.dumps(shown), shown)
        contains("gc_ext.log", stage.log(), f"Executing install of {handlers.PUBLISHER}.{kind}-1.0.0")


async def follows_its_settings(stage: Stage) -> None:
    """Enable runs again when something has changed, and only then."""
    bed, web, kind = stage.bed, stage.web, handlers.kind_of("well_behaved")
    async with bed.step(
        "Other settings: enable alone runs, with the next number", ["extension.enable-again"]
    ):
        (await extensions.patch(bed, web, PROBE, settings={"colour": "green"})).expect_ok()
        equal("in ARM", await stage.settled(PROBE), "Succeeded")
        equal("what ran", stage.ran(kind), ["1.0.0 enable 1"])
        contains("the settings", (extensions.folder(web, kind) / "config/1.settings").read_text(), "green")

    async with bed.step("The same once more: nothing runs", ["extension.enable-again"]):
        (await extensions.patch(bed, web, PROBE, settings={"colour": "green"})).expect_ok()
        equal("in ARM", await stage.settled(PROBE), "Succeeded")
        equal("what ran", stage.ran(kind), [])

    async with bed.step(
        "forceUpdateTag: it runs although nothing else changed", ["extension.force-update-tag"]
    ):
        (await extensions.patch(bed, web, PROBE, forceUpdateTag="again")).expect_ok()
        equal("in ARM", await stage.settled(PROBE), "Succeeded")
        equal("what ran", stage.ran(kind), ["1.0.0 enable 2"])

    async with bed.step("100 KB of settings arrive whole", ["extension.enable-again"]):
        much = "x" * 100_000
        (await extensions.patch(bed, web, PROBE, settings={"colour": "red", "much": much})).expect_ok()
        equal("in ARM", await stage.settled(PROBE), "Succeeded")
        equal("what ran", stage.ran(kind), ["1.0.0 enable 3"])
        written = json.loads((extensions.folder(web, kind) / "config/3.settings").read_text())
        (inner,) = written["runtimeSettings"]
        arrived = inner["handlerSettings"]["publicSettings"]
        true("all of it", arrived == {"colour": "red", "much": much}, f"{len(str(arrived))} characters")


async def upgrades(stage: Stage) -> None:
    """A newer minor version, without anybody's request."""
    bed, web, kind = stage.bed, stage.web, handlers.kind_of("well_behaved")
    async with bed.step(
        "A newer minor version is published: it arrives by itself",
        ["extension.automatic-upgrade", "extension.upgrade-order"],
    ):
        await extensions.publish(bed, "well_behaved", "1.1.0")
        await bed.advance(hours=1, minutes=10)
        equal("in ARM", await stage.settled(PROBE), "Succeeded")
        equal("its version", (await stage.view(PROBE))["typeHandlerVersion"], "1.1.0")
        expected = ["1.0.0 disable", "1.1.0 update", "1.0.0 uninstall", "1.1.0 install", "1.1.0 enable"]
        equal("what ran", [line.rpartition(" ")[0] for line in stage.ran(kind)], expected)
        equal("folders", stage.installed(kind), ["1.1.0"])
        true("the old one is gone altogether", not extensions.folder(web, kind, "1.0.0").exists())


async def fails_to_upgrade(stage: Stage) -> None:
    """An upgrade that stops: by hand it stays so, by the platform the last good version comes back."""
    bed, web = stage.bed, stage.web
    async with bed.step(
        "An automatic upgrade fails: the last good version comes back", ["extension.failed-upgrade-goes-back"]
    ):
        kind = await extensions.publish(bed, "failing_update")
        await stage.put("stubborn", kind, settings={})
        equal("in ARM", await stage.settled("stubborn"), "Succeeded")
        await extensions.publish(bed, "failing_update", "1.1.0")
        await bed.advance(hours=1, minutes=10)
        equal("its version in ARM", (await stage.view("stubborn"))["typeHandlerVersion"], "1.0.0")
        ran = stage.ran(kind)
        true("update of the new version was tried", any("1.1.0 update" in line for line in ran), ran)
        true("the old one was enabled again", "1.0.0 enable" in ran[-1], ran)
        equal("folders", stage.installed(kind), ["1.0.0"])
        contains("gc_ext.log", stage.log(), "1.0.0 comes back")

    async with bed.step("It is deleted although its version is gone", ["extension.deleted"]):
        for version in ("1.0.0", "1.1.0"):
            await extensions.unpublish(bed, kind, version)
        (await extensions.delete(bed, web, "stubborn")).expect_ok()
        equal("in ARM", await stage.settled("stubborn"), "")


async def keeps_an_order(stage: Stage) -> None:
    """Two at once."""
    bed, web = stage.bed, stage.web
    async with bed.step("Two extensions at once: one after the other", ["extension.one-at-a-time"]):
        first = await extensions.publish(bed, "waiting")
        second = await extensions.publish(bed, "forking_a_daemon")
        async with Gate(bed, web, "install") as gate:
            await stage.put("first", first, typeHandlerVersion="1.0")
            await stage.put("second", second)
            await gate.reached()
            equal("the second waits", extensions.commands(web, second), [])
            await gate.open()
        equal("second", await stage.settled("second"), "Succeeded")
        equal("first", await stage.settled("first"), "Succeeded")
        ended, began = extensions.runs(web, first)[-1], extensions.runs(web, second)[0]
        equal("the last of the first", ended.command, "enable")
        true("the second began after it", ended.at < began.at, f"{ended} and {began}")

    async with bed.step("What an extension leaves running ends with it", ["extension.deleted"]):
        (await extensions.delete(bed, web, "second")).expect_ok()
        equal("in ARM", await stage.settled("second"), "")
        equal("folders", stage.installed(second), [])


# -- packages and networks -----------------------------------------------------------------------------------


async def loses_its_package(stage: Stage) -> None:
    """Not what was published; not to be read any more."""
    bed, web = stage.bed, stage.web
    kind = handlers.kind_of("several_at_once")
    async with bed.step(
        "A package that is not what was published is refused", ["extension.package-is-checked"]
    ):
        await extensions.publish(bed, "several_at_once")
        blob = f"blobs/{STORAGE}/packages/{handlers.PUBLISHER}.{kind}__1.0.0.zip"
        await bed.cloud.admin.call("PUT", blob, content=b"something else")
        await stage.put("other", kind)
        equal("in ARM", await stage.settled("other"), "Failed")
        contains("its message", await stage.message("other"), "PackageHashMismatch")
        equal("folders", stage.installed(kind), [])
        equal("nothing ran", stage.ran(kind), [])

    async with bed.step(
        "With another publisher's key on the machine, its catalogue is refused",
        ["extension.catalogue-is-signed"],
    ):
        if (await web.command("gpg", "--version")).exit_code:
            raise NotCoveredError("gpg is not installed")
        key = web.path("home") / "extensions.asc"
        key.write_text("not a key of this publisher")
        exited(await web.azcmagent("config", "set", "extd.catalogKey", str(key)), 0)
        await extensions.publish(bed, "several_at_once")
        await stage.put("other", kind, forceUpdateTag="unsigned")
        equal("in ARM", await stage.settled("other"), "Failed")
        contains("its message", await stage.message("other"), "CatalogNotSigned")
        equal("nothing ran", stage.ran(kind), [])
        key.write_text((await bed.cloud.admin.read("extensions/key")).decode())

    async with bed.step(
        "Published again, it is installed by another PUT",
        ["extension.package-is-checked", "extension.catalogue-is-signed"],
    ):
        await extensions.publish(bed, "several_at_once")
        await stage.put("other", kind, forceUpdateTag="again")
        equal("in ARM", await stage.settled("other"), "Succeeded")
        (await extensions.delete(bed, web, "other")).expect_ok()
        equal("deleted", await stage.settled("other"), "")

    async with bed.step(
        "Storage answers 403 to an address that was good a moment ago: the agent asks for another",
        ["extension.fresh-address"],
    ):
        async with Gate(bed, web, "enable") as gate:
            (await extensions.patch(bed, web, "first", forceUpdateTag="wait")).expect_ok()
            await stage.put("late", kind)
            await gate.reached()
            await bed.cloud.admin.call("POST", f"blobs/{STORAGE}/regenerateKey")
            await gate.open()
        equal("in ARM", await stage.settled("late"), "Succeeded")
        contains("gc_ext.log", stage.log(), "Download failed (1 of 10)")
        contains("gc_ext.log", stage.log(), "403 AuthenticationFailed")
        (await extensions.delete(bed, web, "late")).expect_ok()
        equal("deleted", await stage.settled("late"), "")


async def meets_a_bad_network(stage: Stage) -> None:
    """Slow, and away in the middle."""
    bed, web = stage.bed, stage.web
    async with bed.step("Storage is slow: it only takes longer", ["extension.installed"]):
        kind = handlers.kind_of("several_at_once")
        async with web.latency(200):
            await stage.put("slow", kind)
            equal("in ARM", await stage.settled("slow"), "Succeeded")
        (await extensions.delete(bed, web, "slow")).expect_ok()
        equal("deleted", await stage.settled("slow"), "")

    async with bed.step("Cut off during enable: it ends, and is told afterwards", ["extension.ends-offline"]):
        kind = handlers.kind_of("waiting")
        stage.ran(kind)
        async with Gate(bed, web, "enable") as gate:
            (await extensions.patch(bed, web, "first", forceUpdateTag="cut")).expect_ok()
            await gate.reached()
            async with web.cut_off("unreachable"):
                await gate.open()
                await bed.advance(hours=2)
                equal("what ran", [line.rpartition(" ")[0] for line in stage.ran(kind)], ["1.0.0 enable"])
                equal("ARM does not know", await extensions.state(bed, web, "first"), "Updating")
        equal("in ARM", await stage.settled("first"), "Succeeded")
        equal("nothing ran twice", stage.ran(kind), [])


# -- kills ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """A way of the extension ``first``: what ARM is asked for, what runs, and what ARM shows at the end."""

    what: str
    act: Callable[[Stage], Awaitable[Answer]]
    ran: tuple[str, ...]
    state: str

    @property
    def commands(self) -> list[str]:
        """The commands that run."""
        return [line.split(" ")[1] for line in self.ran]


WAYS = (
    Way(
        "upgraded",
        lambda stage: extensions.patch(stage.bed, stage.web, "first", typeHandlerVersion="1.1"),
        ("1.0.0 disable", "1.1.0 update", "1.0.0 uninstall", "1.1.0 install", "1.1.0 enable"),
        "Succeeded",
    ),
    Way(
        "deleted",
        lambda stage: extensions.delete(stage.bed, stage.web, "first"),
        ("1.1.0 disable", "1.1.0 uninstall"),
        "",
    ),
    Way(
        "installed",
        lambda stage: extensions.put(stage.bed, stage.web, "first", extensions.WAITING),
        ("1.1.0 install", "1.1.0 enable"),
        "Succeeded",
    ),
)


async def survives_kills(stage: Stage) -> None:
    """Extd is killed in every command: what has begun is not begun again, and its end is told."""
    bed, web, kind = stage.bed, stage.web, extensions.WAITING
    await extensions.publish(bed, "waiting", "1.1.0")
    for way in WAYS:
        async with (
            bed.step(
                f"kill -9 in {', '.join(way.commands)} while it is {way.what}: each runs once",
                ["extension.survives-kill"],
            ),
            AsyncExitStack() as gates,
        ):
            held = [await gates.enter_async_context(Gate(bed, web, command)) for command in way.commands]
            stage.ran(kind)
            (await way.act(stage)).expect_ok()
            for gate in held:
                await gate.reached()
                await web.kill_extension_manager()
                await web.start_extension_manager()
                await gate.open()
            equal("in ARM", await stage.settled("first"), way.state)
            equal("what ran", [line.rpartition(" ")[0] for line in stage.ran(kind)], list(way.ran))


# -- what the machine's owner says, and the end --------------------------------------------------------------


async def obeys_the_machine(stage: Stage) -> None:
    """The local lists go before what Azure wants."""
    bed, web, kind = stage.bed, stage.web, handlers.kind_of("well_behaved")
    async with bed.step(
        "The machine's allow list no longer has it: changes are refused, it runs on",
        ["extension.allow-list"],
    ):
        exited(await web.azcmagent("config", "set", "extensions.allowlist", "Contoso.Tools/Other"), 0)
        (await extensions.patch(bed, web, PROBE, settings={"colour": "black"})).expect_ok()
        equal("in ARM", await stage.settled(PROBE), "Failed")
        contains("its message", await stage.message(PROBE), "extensions.allowlist")
        equal("nothing ran", stage.ran(kind), [])
        equal("folders", stage.installed(kind), ["1.1.0"])


async def goes(stage: Stage) -> None:
    """Deletion is always allowed."""
    bed, web, kind = stage.bed, stage.web, handlers.kind_of("well_behaved")
    async with bed.step("A DELETE disables and uninstalls, whatever the lists say", ["extension.deleted"]):
        answer = (await extensions.delete(bed, web, PROBE)).expect_ok()
        equal("DELETE", answer.status, 202)
        equal("in ARM at first", await extensions.state(bed, web, PROBE), "Deleting")
        equal("in ARM", await stage.settled(PROBE), "")
        equal("its error code", (await extensions.get(bed, web, PROBE)).error_code, "HCRP404")
        ran = [line.rpartition(" ")[0] for line in stage.ran(kind)]
        equal("what ran", ran, ["1.1.0 disable", "1.1.0 uninstall"])
        equal("folders", stage.installed(kind), [])
        (await extensions.delete(bed, web, "first")).expect_ok()
        equal("the other one", await stage.settled("first"), "")
        listed = await bed.cloud.arm.get(f"{bed.cloud.arm.machine_id(GROUP, web.name)}/extensions")
        equal("extensions in ARM", listed.expect_ok().body["value"], [])
