"""Upgrades by one operation, by setting up, and by themselves."""

from __future__ import annotations

from datetime import timedelta

import pytest


@pytest.fixture
async def two(bed):
    """Two extensions on the machine, and newer versions of both."""
    for name in ("A", "B"):
        bed.publish("1.0.0", name=f"Contoso.Tools.{name}")
        await bed.install(name.lower(), type=name)
        bed.publish("1.1.0", name=f"Contoso.Tools.{name}")
        bed.publish("2.0.0", name=f"Contoso.Tools.{name}")
    return bed


async def upgrade(bed, targets):
    return await bed.arm("POST", f"{bed.machine()}/upgradeExtensions", {"extensionTargets": targets})


async def test_operation_ends_when_the_last_extension_has_and_tells_of_the_failure(two):
    accepted = await upgrade(two, {"Contoso.Tools": {}})
    await two.obey("Failed", "a", instanceView={"message": "no room"})
    assert (await two.operation(accepted))["status"] == "InProgress"
    await two.obey("Succeeded", "b")
    done = await two.operation(accepted)
    assert (done["status"], done["error"]) == ("Failed", {"code": "HCRP400", "message": "no room"})
    assert (await two.shown("b"))["typeHandlerVersion"] == "1.1.0"


async def test_major_version_is_taken_when_it_is_named(two):
    accepted = await upgrade(two, {"Contoso.Tools.A": {"targetVersion": "2.0"}})
    await two.obey()
    assert (await two.operation(accepted))["status"] == "Succeeded"
    assert (await two.shown("a"))["typeHandlerVersion"] == "2.0.0"
    assert (await two.shown("b"))["typeHandlerVersion"] == "1.0.0"


async def test_upgrade_to_what_is_there_ends_at_once(two):
    accepted = await upgrade(two, {"Contoso.Tools.A": {"targetVersion": "1.0.0"}})
    assert (await two.operation(accepted))["status"] == "Succeeded"
    assert all(item["operation"] is None for item in await two.pull())


async def test_set_up_extensions_are_named_by_their_type_and_answered_behind_location(bed):
    for name in ("A", "B"):
        bed.publish(name=f"Contoso.Tools.{name}")
    body = {"extensions": [{"publisher": "Contoso.Tools", "type": name} for name in ("A", "B")]}
    path = f"{bed.machine()}/addExtensions"
    accepted = await bed.arm("POST", path, body, version="2026-07-15")
    await bed.obey("Succeeded", "A")
    assert (await bed.arm("GET", accepted.headers["location"])).status_code == 202
    await bed.obey("Succeeded", "B")
    result = await bed.arm("GET", accepted.headers["location"])
    assert [entry["type"] for entry in result.json()["extensions"]] == ["A", "B"]
    again = await bed.arm("POST", path, body, version="2026-07-15")
    assert (await bed.operation(again))["status"] == "Succeeded"


@pytest.mark.parametrize(
    ("status", "automatic", "expected"),
    [("Connected", True, "1.1.0"), ("Connected", False, "1.0.0"), ("Disconnected", True, "1.0.0")],
)
async def test_newer_minor_version_comes_by_itself_within_an_hour(bed, status, automatic, expected):
    bed.publish("1.0.0")
    await bed.install(enableAutomaticUpgrade=automatic)
    row = bed.cloud.machines.get(bed.machine().lower())
    async with bed.cloud.plane.store.unit() as unit:
        bed.cloud.machines.set_status(unit, row, status)
    bed.publish("1.1.0")
    bed.publish("2.0.0")
    await bed.clock.advance(timedelta(hours=1, seconds=1))
    await bed.obey()
    assert (await bed.shown())["typeHandlerVersion"] == expected
    entries = bed.cloud.plane.store.tail("activity")
    callers = {
        row.document["caller"]
        for row in entries
        if row.document["operation"].endswith("/upgradeExtensions/action")
    }
    assert callers == ({"Azure Regional Service Manager"} if expected == "1.1.0" else set())
