"""Which version is meant, when a write is a new thing to do, and what a machine is told of secrets."""

from __future__ import annotations

import pytest

SECRET = "correct-horse-battery-staple"


@pytest.mark.parametrize(
    ("wanted", "minor", "meant"),
    [
        (None, False, "2.0.0"),
        ("1", False, "1.10.0"),
        ("1.2", False, "1.2.9"),
        ("1.2", True, "1.10.0"),
        ("1.2.3", False, "1.2.3"),
        ("1.2.3", True, "1.10.0"),
        ("2.0", True, "2.0.0"),
    ],
)
async def test_version_is_chosen_by_its_beginning(bed, wanted, minor, meant):
    for version in ("1.2.3", "1.2.9", "1.10.0", "2.0.0"):
        bed.publish(version)
    more = {} if wanted is None else {"typeHandlerVersion": wanted}
    await bed.put(autoUpgradeMinorVersion=minor, **more)
    assert (await bed.item())["typeHandlerVersion"] == meant
    assert (await bed.shown())["typeHandlerVersion"] == meant


async def test_same_put_again_ends_at_once_and_gives_the_machine_nothing_to_do(bed):
    bed.publish()
    await bed.install(settings={"a": 1}, protectedSettings={"p": SECRET})
    before = await bed.item()
    again = await bed.put(settings={"a": 1}, protectedSettings={"p": SECRET})
    done = await bed.operation(again)
    assert done["status"] == "Succeeded"
    assert done["properties"]["properties"]["provisioningState"] == "Succeeded"
    assert await bed.item() == before


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"a": 2}},
        {"protectedSettings": {"p": "other"}},
        {"forceUpdateTag": "again"},
        {"typeHandlerVersion": "1.1"},
    ],
)
async def test_change_of_anything_that_counts_has_the_next_number(bed, change):
    bed.publish("1.0.0")
    bed.publish("1.1.0")
    given = {"typeHandlerVersion": "1.0", "settings": {"a": 1}, "protectedSettings": {"p": SECRET}}
    await bed.install(**given)
    await bed.put(**{**given, **change})
    item = await bed.item()
    assert (item["sequenceNumber"], item["operation"]["kind"]) == (1, "update")


async def test_numbers_are_not_used_twice_after_deletion_under_the_same_name(bed):
    bed.publish()
    await bed.install()
    await bed.put(settings={"a": 2})
    await bed.obey()
    await bed.arm("DELETE", bed.extension())
    await bed.obey()
    await bed.put()
    assert (await bed.item())["sequenceNumber"] == 2


async def test_put_after_a_failure_is_tried_again_although_nothing_changed(bed):
    bed.publish()
    await bed.put()
    await bed.obey("Failed")
    again = await bed.put()
    item = await bed.item()
    assert (item["sequenceNumber"], (await bed.operation(again))["status"]) == (1, "Queued")


async def test_deletion_that_failed_can_be_asked_for_again(bed):
    bed.publish()
    await bed.install()
    first = await bed.arm("DELETE", bed.extension())
    await bed.obey("Failed")
    assert (await bed.operation(first))["status"] == "Failed"
    assert (await bed.shown())["provisioningState"] == "Failed"
    await bed.arm("DELETE", bed.extension())
    item = await bed.item()
    assert (item["desiredState"], item["sequenceNumber"]) == ("uninstalled", 1)
    await bed.obey()
    assert (await bed.arm("GET", bed.extension())).status_code == 404


async def test_protected_settings_go_to_the_machine_only_and_are_forgotten_when_they_are_there(bed):
    bed.publish()
    answer = await bed.put(settings={"a": 1}, protectedSettings={"password": SECRET})
    assert (await bed.item())["protectedSettings"] == {"scheme": "plain-tls", "value": {"password": SECRET}}
    texts = [
        (await bed.arm("GET", path)).text
        for path in (
            bed.extension(),
            f"{bed.machine()}/extensions",
            bed.machine(),
            answer.headers["azure-asyncoperation"],
            f"{bed.group}/resources",
        )
    ]
    state = bed.cloud.settings.state
    files = [file for file in state.iterdir() if file.is_file()]
    assert not any(SECRET in text for text in texts)
    assert not any(SECRET.encode() in file.read_bytes() for file in files)
    assert not any('"agent"' in text for text in texts)
    await bed.obey()
    assert (await bed.item())["protectedSettings"] is None
    stored = bed.cloud.plane.store.get("resources", bed.extension().lower()).document
    assert "sealed" not in stored["agent"]["secret"]
    assert (await bed.arm("GET", (await bed.put(settings={"a": 2})).headers["location"])).status_code == 202
    assert (await bed.item())["protectedSettings"] is None


async def test_patch_changes_what_it_gives_and_leaves_the_rest(bed):
    bed.publish()
    await bed.install(settings={"a": 1}, tags={"t": "1"})
    accepted = await bed.arm("PATCH", bed.extension(), {"properties": {"settings": {"a": 2}}})
    assert accepted.status_code == 202
    await bed.obey()
    shown = (await bed.arm("GET", bed.extension())).json()
    assert shown["properties"]["settings"] == {"a": 2}
    assert shown["tags"] == {"t": "1"}
    await bed.arm(
        "PATCH", bed.extension(), {"tags": {"t": "2"}, "properties": {"enableAutomaticUpgrade": False}}
    )
    shown = (await bed.arm("GET", bed.extension())).json()
    assert (shown["tags"], shown["properties"]["enableAutomaticUpgrade"]) == ({"t": "2"}, False)
    assert (await bed.item())["operation"] is None


async def test_older_api_versions_lack_what_they_do_not_know(bed):
    bed.publish()
    await bed.install()
    assert "enableAutomaticUpgrade" in await bed.shown()
    old = await bed.arm("GET", bed.extension(), version="2021-05-20")
    assert "enableAutomaticUpgrade" not in old.json()["properties"]
    machine = (await bed.arm("GET", f"{bed.machine()}")).json()
    assert [entry["name"] for entry in machine["resources"]] == ["probe"]
    assert "agent" not in machine["resources"][0]
