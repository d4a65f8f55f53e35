"""Another version of a handler, and several configurations of one: the order of commands is the contract."""

from __future__ import annotations

import json

import pytest
from extensions import SUCCEED

OLD = ["1.0.0 install 0 -", "1.0.0 enable 0 -"]


def say(name):
    """A command that leaves its environment behind, beside the folders of all versions."""
    return f'env > "../{name}.env"\n'


def environment(bed, name):
    text = (bed.layout["extensions"] / f"{name}.env").read_text()
    return dict(line.partition("=")[::2] for line in text.splitlines())


async def upgraded(bed, old=None, new=None, version="1.1.0", kind="update", **manifest):
    """One version is installed, then another is wanted."""
    bed.service.put(bed.handler(old))
    async with bed.running() as extd:
        await bed.pull(extd)
        more = {"operation": bed.service.operation("upgrade")} if kind == "upgrade" else {}
        bed.service.put(bed.handler(new, **manifest), version=version, **more)
        await bed.pull(extd)
        return extd.store.handler("Arcbed.Test.Sample"), bed.service.finals()[-1]


async def test_a_higher_version_takes_over_in_the_order_of_the_contract(bed):
    handler, final = await upgraded(
        bed, {"enable": f"echo 0 > mrseq\n{SUCCEED}"}, {"update": say("update"), "install": say("install")}
    )
    assert bed.runs == [
        *OLD,
        "1.0.0 disable 1 -",
        "1.1.0 update 1 -",
        "1.0.0 uninstall 1 -",
        "1.1.0 install 1 -",
        "1.1.0 enable 1 -",
    ]
    assert (handler.version, handler.state, final["state"]) == ("1.1.0", "Enabled", "Succeeded")
    assert not bed.folder().exists()
    new = bed.folder("1.1.0")
    assert (new / "mrseq").read_text() == "0\n"
    assert (new / "status/0.status").exists()
    assert not (bed.layout["extension_downloads"] / "Arcbed.Test.Sample__1.0.0.zip").exists()
    update = environment(bed, "update")
    assert update["AZURE_GUEST_AGENT_DISABLE_CMD_EXIT_CODE"] == "0"
    assert (update["VERSION"], update["AZURE_GUEST_AGENT_UPDATING_FROM_VERSION"]) == ("1.1.0", "1.0.0")
    assert environment(bed, "install")["AZURE_GUEST_AGENT_UNINSTALL_CMD_EXIT_CODE"] == "0"


async def test_on_the_way_down_the_old_version_updates(bed):
    _, final = await upgraded(bed, {"update": say("update")}, version="0.9.0")
    assert bed.runs[2:] == [
        "1.0.0 disable 1 -",
        "1.0.0 update 1 -",
        "1.0.0 uninstall 1 -",
        "0.9.0 install 1 -",
        "0.9.0 enable 1 -",
    ]
    assert final["state"] == "Succeeded"
    assert environment(bed, "update")["AZURE_GUEST_AGENT_UPDATING_FROM_VERSION"] == "0.9.0"


async def test_without_install_in_the_update_mode_install_does_not_run(bed):
    await upgraded(bed, updateMode="updateWithoutInstall")
    assert [line.split()[1] for line in bed.runs[2:]] == ["disable", "update", "uninstall", "enable"]


@pytest.mark.parametrize("broken", ["disable", "uninstall"])
async def test_a_failing_command_of_the_old_version_stops_with_1008(bed, broken):
    handler, final = await upgraded(bed, {broken: "exit 3\n"})
    assert bed.runs[-1].split()[:2] == ["1.0.0", broken]
    assert (final["state"], final["instanceView"]["code"]) == ("Failed", "1008")
    assert handler.version == "1.0.0"


@pytest.mark.parametrize("broken", ["disable", "uninstall"])
async def test_a_failing_command_of_the_old_version_is_passed_on_when_the_manifest_says_so(bed, broken):
    names = {"disable": "DISABLE_CMD_EXIT_CODE", "uninstall": "UNINSTALL_CMD_EXIT_CODE"}
    _, final = await upgraded(
        bed,
        {broken: "exit 3\n"},
        {"update": say("disable"), "install": say("uninstall")},
        continueOnUpdateFailure="true",
    )
    assert final["state"] == "Succeeded"
    assert environment(bed, broken)[f"AZURE_GUEST_AGENT_{names[broken]}"] == "3"


async def test_a_failed_update_is_tried_as_a_whole_with_the_next_goal(bed):
    handler, final = await upgraded(bed, new={"update": "exit 4\n"})
    assert (handler.state, final["instanceView"]["code"]) == ("FailedUpgrade", "4")
    async with bed.running() as extd:
        bed.service.put(bed.handler(), version="1.1.0")
        await bed.pull(extd)
    assert [line.split()[1] for line in bed.runs[4:]] == ["update", "uninstall", "install", "enable"]
    assert bed.service.finals()[-1]["state"] == "Succeeded"


@pytest.mark.parametrize("broken", ["update", "install", "enable"])
async def test_an_upgrade_by_the_platform_that_fails_brings_the_last_good_version_back(bed, broken):
    handler, final = await upgraded(bed, new={broken: "exit 5\n"}, kind="upgrade")
    assert (handler.version, handler.state, final["state"]) == ("1.0.0", "Enabled", "Succeeded")
    assert final["typeHandlerVersion"] == "1.0.0"
    assert "Upgrade to 1.1.0 failed, version 1.0.0 is kept" in final["instanceView"]["message"]
    assert bed.runs[-1] == "1.0.0 enable 1 -"
    assert not bed.folder("1.1.0").exists()
    assert bed.runs.count("1.0.0 install 1 -") == (broken != "update")


async def test_an_upgrade_whose_package_cannot_be_had_leaves_the_old_version_alone(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
        bed.service.put(bed.handler(), version="1.1.0", operation=bed.service.operation("upgrade"))
        bed.service.files.clear()
        await bed.pull(extd)
    assert bed.runs == OLD
    assert bed.service.finals()[-1]["typeHandlerVersion"] == "1.0.0"


# -- several configurations ----------------------------------------------------------------------------------


def run_command(bed, name, *, enable=SUCCEED, **more):
    content = bed.handler({"enable": enable}, supportsMultipleExtensions=True)
    bed.service.put(content, name=name, kind="Run", extensionName=name, **more)


async def test_several_configurations_share_one_installation(bed):
    run_command(bed, "first")
    run_command(bed, "second")
    async with bed.running() as extd:
        await bed.pull(extd, 30)
        folder = bed.folder(kind="Run")
        assert sorted(path.name for path in (folder / "config").glob("*.settings")) == [
            "first.0.settings",
            "second.0.settings",
        ]
        bed.service.delete("first")
        await bed.pull(extd, 30)
        assert not list(folder.glob("*/first.*"))
        assert extd.store.handler("Arcbed.Test.Run").state == "Enabled"
        bed.service.delete("second")
        await bed.pull(extd, 30)
    assert bed.runs == [
        "1.0.0 install 0 -",
        "1.0.0 enable 0 first",
        "1.0.0 enable 0 second",
        "1.0.0 disable 0 first",
        "1.0.0 disable 0 second",
        "1.0.0 uninstall 0 -",
    ]
    assert not folder.exists()


async def test_a_failing_configuration_marks_only_itself(bed):
    choosy = f'[ "$ConfigExtensionName" = bad ] && exit 7\n{SUCCEED}'
    run_command(bed, "good", enable=choosy)
    run_command(bed, "bad", enable=choosy)
    async with bed.running() as extd:
        await bed.pull(extd, 30)
        assert {one.name: one.result["state"] for one in extd.store} == {"good": "Succeeded", "bad": "Failed"}
        assert extd.store.handler("Arcbed.Test.Run").state == "Enabled"
    written = json.loads((bed.folder(kind="Run") / "status/bad.0.status").read_text())
    assert written[0]["status"]["status"] == "error"


async def test_a_handler_without_the_flag_refuses_a_second_configuration(bed):
    bed.service.put(bed.handler(), name="one", kind="Plain", extensionName="one")
    async with bed.running() as extd:
        await bed.pull(extd)
    (final,) = bed.service.finals("one")
    assert final["state"] == "Failed"
    assert "supportsMultipleExtensions" in final["instanceView"]["message"]
    assert bed.runs == []


async def test_the_state_of_each_configuration_is_in_its_own_file(bed):
    run_command(bed, "first")
    async with bed.running() as extd:
        await bed.pull(extd, 30)
    assert (bed.folder(kind="Run") / "config/first.HandlerState").read_text() == "enabled"
    assert json.loads((bed.folder(kind="Run") / "config/HandlerStatus").read_text())["supports_multi_config"]
