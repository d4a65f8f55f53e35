"""Something else is wanted while a command runs, or before an operation has ended: what has run, counts."""

from __future__ import annotations

import asyncio
import subprocess

import httpx
import pytest
from extensions import SUCCEED, ExtdBed, refusal
from handler_contract import COMMAND_CLOCK, appears

from arcbed_agent.config import LocalConfig
from arcbed_agent.extd import commands
from arcbed_agent.extd.daemon import Extd
from arcbed_agent.governor import choose, wishes

MULTI = {"supportsMultipleExtensions": True}
#: Waits until the test lets it go on.
GATE = "mkfifo gate && touch waits && read go < gate\n"


@pytest.fixture
async def bed(bed):
    """With one governor for all starts of extd: two in one process reap each other's children."""
    wished = wishes(LocalConfig.load(bed.layout))
    bed.governor = await choose(wished, owner="extd", root=bed.root, clock=bed.clock)
    return bed


async def waits(bed: ExtdBed, extd: Extd, version: str = "1.0.0") -> None:
    """The machine hears of what is wanted, and a command of `version` waits; time passes all the same."""
    bed.clock.let_pass(COMMAND_CLOCK)
    await bed.pull(extd)
    await appears(bed.folder(version) / "waits")


async def goes_on(bed: ExtdBed, extd: Extd, version: str = "1.0.0") -> None:
    """It ends, and all is done that is wanted."""
    bed.clock.let_pass()
    await asyncio.to_thread((bed.folder(version) / "gate").write_text, "go\n")
    await bed.pull(extd)


@pytest.mark.rule("order.once")
async def test_an_install_that_ends_after_extd_was_stopped_is_uninstalled_by_a_deletion(bed):
    bed.service.put(bed.handler({"install": GATE}))
    async with bed.running(end=False) as extd:
        await waits(bed, extd)
        bed.service.delete()
        await bed.pull(extd, 1)
    async with bed.running() as extd:
        await goes_on(bed, extd)
    assert bed.runs == ["1.0.0 install 0 -", "1.0.0 uninstall 0 -"]
    assert not bed.folder().exists()


@pytest.mark.rule("order.once")
async def test_what_was_installed_before_something_else_was_wanted_is_not_installed_again(bed):
    bed.service.put(bed.handler({"install": GATE}))
    async with bed.running(end=False) as extd:
        await waits(bed, extd)
        bed.service.put(bed.handler({"install": GATE}))
        await bed.pull(extd, 1)
    async with bed.running() as extd:
        await goes_on(bed, extd)
    assert bed.runs == ["1.0.0 install 0 -", "1.0.0 enable 1 -"]


@pytest.mark.rule("command.one-at-a-time")
async def test_a_deletion_waits_for_a_command_that_was_begun_before_a_restart(bed):
    async with bed.running(end=False) as extd:
        bed.service.put(bed.handler(), name="other", kind="Other")
        await bed.pull(extd)
        bed.service.put(bed.handler({"install": f"{GATE}echo end >> {bed.runs_file}\n"}))
        await waits(bed, extd)
        bed.service.delete("other")
        await bed.pull(extd, 1)
    async with bed.running() as extd:
        await goes_on(bed, extd)
    assert bed.runs[2:4] == ["1.0.0 install 0 -", "end"]
    assert bed.runs[-1] == "1.0.0 uninstall 0 -"


def test_a_shell_that_was_started_before_a_kill_and_comes_when_the_run_is_over_does_nothing(tmp_path):
    words = ["/bin/sh", "-c", commands.CARRIER, "arc-extension", str(tmp_path / "run"), "touch", "ran"]
    assert subprocess.run(words, cwd=tmp_path, check=False).returncode == 125
    assert not list(tmp_path.iterdir())
    (tmp_path / "run.open").touch()
    assert subprocess.run(words, cwd=tmp_path, check=False).returncode == 0
    assert (tmp_path / "ran").exists()


@pytest.mark.rule("removal.order")
async def test_a_deletion_that_is_wished_twice_disables_once(bed):
    async with bed.running() as extd:
        bed.service.put(bed.handler({"disable": GATE}))
        await bed.pull(extd)
        bed.service.delete()
        await waits(bed, extd)
        bed.service.delete()
        bed.service.items["sample"]["sequenceNumber"] = 1
        await bed.pull(extd, 1)
        await goes_on(bed, extd)
    assert bed.runs[2:] == ["1.0.0 disable 0 -", "1.0.0 uninstall 1 -"]


@pytest.mark.rule("version.lower")
async def test_a_lower_version_is_enabled_over_a_restart(bed):
    """The old folder, whose update has run, is gone by then."""
    bed.service.put(bed.handler(), version="1.1.0")
    async with bed.running(end=False) as extd:
        await bed.pull(extd)
        bed.service.put(bed.handler({"enable": GATE + SUCCEED}), version="1.0.0")
        await waits(bed, extd)
    async with bed.running() as extd:
        await goes_on(bed, extd)
    assert [final["state"] for final in bed.service.finals()] == ["Succeeded", "Succeeded"]


@pytest.mark.rule("version.automatic-upgrade-comes-back")
async def test_after_an_upgrade_that_went_back_the_service_lists_what_there_is_and_nothing_runs(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
        upgrade = bed.service.operation("upgrade")
        bed.service.put(bed.handler({"update": "exit 4\n"}), version="1.1.0", operation=upgrade)
        await bed.pull(extd)
        runs = bed.runs
        bed.service.items["sample"] |= {"operation": None, "typeHandlerVersion": "1.0.0"}
        bed.service.generation += 1
        await bed.pull(extd)
        assert bed.runs == runs
        bed.service.put(bed.handler(), version="1.0.0")
        await bed.pull(extd)
    assert bed.runs == [*runs, "1.0.0 enable 2 -"]


@pytest.mark.rule("several.last-one")
async def test_two_configurations_that_go_together_are_both_disabled_before_the_handler_is_uninstalled(bed):
    async with bed.running() as extd:
        await both(bed, extd)
        for name in ("first", "second"):
            bed.service.delete(name)
        await bed.pull(extd)
    assert bed.runs[3:] == ["1.0.0 disable 0 first", "1.0.0 disable 0 second", "1.0.0 uninstall 0 second"]


async def both(bed: ExtdBed, extd: Extd) -> None:
    """Two configurations of one handler are enabled."""
    for name in ("first", "second"):
        bed.service.put(bed.handler(**MULTI), name=name, extensionName=name)
        await bed.pull(extd)


@pytest.mark.rule("several.version-change")
async def test_a_change_of_version_does_not_disable_what_was_deleted_while_it_waited_over_a_restart(bed):
    async with bed.running(end=False) as extd:
        await both(bed, extd)
        bed.service.script("__1.1.0.zip?", *[httpx.ConnectError("not now")] * 9)
        bed.service.put(bed.handler(**MULTI), name="first", extensionName="first", version="1.1.0")
        await bed.pull(extd, 1)
        bed.service.delete("second")
        await bed.pull(extd, 1)
    bed.service.scripted.clear()
    async with bed.running() as extd:
        await bed.pull(extd, 60)
    disabled = [run for run in bed.runs if " disable " in run]
    assert disabled == ["1.0.0 disable 0 second", "1.0.0 disable 1 first"]


@pytest.mark.rule("several.version-change")
async def test_what_is_wanted_of_a_configuration_while_it_is_enabled_again_is_not_forgotten(bed):
    gate = f'if [ "$ConfigExtensionName $ConfigSequenceNumber" = "second 0" ]; then {GATE}fi\n{SUCCEED}'
    async with bed.running() as extd:
        await both(bed, extd)
        package = bed.handler({"enable": gate}, **MULTI)
        bed.service.put(package, name="first", extensionName="first", version="1.1.0")
        await waits(bed, extd, "1.1.0")
        bed.service.put(package, name="second", extensionName="second", version="1.1.0")
        await bed.pull(extd, 1)
        await goes_on(bed, extd, "1.1.0")
    assert bed.runs[-3:] == ["1.1.0 enable 0 second", "1.1.0 enable 1 first", "1.1.0 enable 1 second"]
    assert [final["state"] for final in bed.service.finals("second")] == ["Succeeded", "Succeeded"]


@pytest.mark.rule("several.version-change-and-failure")
async def test_a_configuration_comes_back_where_the_one_that_goes_had_taken_the_handler_away(bed):
    """Its upgrade has uninstalled the old version, and the new one could not be installed."""
    once = "[ -e failed ] || { touch failed; exit 5; }\n"
    async with bed.running() as extd:
        await both(bed, extd)
        package = bed.handler({"install": once}, **MULTI)
        bed.service.put(package, name="first", extensionName="first", version="1.1.0")
        await bed.pull(extd)
        bed.service.delete("first")
        await bed.pull(extd)
        assert extd.store.get("second").enabled
    assert bed.runs[-3:] == ["1.1.0 install 1 first", "1.1.0 install 1 first", "1.1.0 enable 0 second"]


@pytest.mark.rule("several.version-change-and-failure")
async def test_an_automatic_upgrade_that_stops_enables_again_only_what_it_has_disabled(bed):
    fails = bed.handler({"disable": "exit 3\n"}, **MULTI)
    async with bed.running() as extd:
        for name in ("first", "second"):
            bed.service.put(fails, name=name, extensionName=name)
            await bed.pull(extd)
        upgrade = bed.service.operation("upgrade")
        bed.service.put(fails, name="first", extensionName="first", version="1.1.0", operation=upgrade)
        await bed.pull(extd)
    assert bed.runs[3:] == ["1.0.0 disable 1 first", "1.0.0 enable 1 first"]


@pytest.mark.rule("several.version-change-and-failure")
async def test_what_has_failed_in_the_version_that_it_wanted_is_not_tried_again_by_another(bed):
    fails = f'[ "$ConfigExtensionName" = first ] && exit 7\n{SUCCEED}'
    async with bed.running() as extd:
        await both(bed, extd)
        package = bed.handler({"enable": fails}, **MULTI)
        for name in ("first", "second"):
            bed.service.put(package, name=name, extensionName=name, version="1.1.0")
            await bed.pull(extd)
    assert bed.runs[-3:] == ["1.1.0 enable 0 second", "1.1.0 enable 1 first", "1.1.0 enable 1 second"]


@pytest.mark.rule("several.last-one")
async def test_a_configuration_that_comes_while_the_last_one_is_uninstalled_is_installed(bed):
    async with bed.running(end=False) as extd:
        bed.service.put(bed.handler({"uninstall": GATE}, **MULTI), name="first", extensionName="first")
        await bed.pull(extd)
        bed.service.delete("first")
        await waits(bed, extd)
        bed.service.put(bed.handler(**MULTI), name="second", extensionName="second")
        await bed.pull(extd, 1)
    async with bed.running() as extd:
        await goes_on(bed, extd)
    assert bed.runs[-3:] == ["1.0.0 uninstall 0 first", "1.0.0 install 0 second", "1.0.0 enable 0 second"]


async def test_an_operation_that_has_expired_when_it_is_picked_up_leaves_what_was_before(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
        before = bed.service.items["sample"] | {"operation": None}
        bed.service.put(bed.handler())
        bed.service.script("/operations/", refusal(410, "OperationExpired"))
        await bed.pull(extd)
        bed.service.items["sample"] = before
        bed.service.generation += 1
        await bed.pull(extd, 400)
        assert extd.store.get("sample").settled
    assert bed.runs == ["1.0.0 install 0 -", "1.0.0 enable 0 -"]
