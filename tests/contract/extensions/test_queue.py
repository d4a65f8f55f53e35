"""Six hours, what takes the place of what, and what survives."""

from __future__ import annotations

from datetime import timedelta


async def test_operation_not_picked_up_in_six_hours_fails_and_leaves_the_goal_state(bed):
    bed.publish()
    accepted = await bed.put()
    await bed.clock.advance(timedelta(hours=5, minutes=59))
    assert len(await bed.pull()) == 1
    await bed.clock.advance(timedelta(minutes=2))
    done = await bed.operation(accepted)
    assert (done["status"], done["error"]["code"]) == ("Failed", "OperationExpired")
    assert (await bed.shown())["provisioningState"] == "Failed"
    assert await bed.pull() == []


async def test_what_expired_before_any_machine_had_it_is_deleted_at_once(bed):
    bed.publish()
    await bed.put()
    await bed.pull()
    await bed.clock.advance(timedelta(hours=6, minutes=1))
    await bed.pull()
    accepted = await bed.arm("DELETE", bed.extension())
    assert (await bed.operation(accepted))["status"] == "Succeeded"
    assert (await bed.arm("GET", bed.extension())).status_code == 404


async def test_operation_picked_up_in_time_does_not_expire(bed):
    bed.publish()
    accepted = await bed.put()
    item = await bed.item()
    await bed.clock.advance(timedelta(hours=5, minutes=59))
    await bed.report(item, "InProgress")
    await bed.clock.advance(timedelta(days=1))
    assert (await bed.operation(accepted))["status"] == "InProgress"
    await bed.report(item, "Succeeded")
    assert (await bed.operation(accepted))["status"] == "Succeeded"


async def test_expired_change_goes_back_to_what_the_machine_has(bed):
    bed.publish()
    await bed.install(settings={"a": 1})
    await bed.put(settings={"a": 2})
    await bed.clock.advance(timedelta(hours=6, minutes=1))
    item = await bed.item()
    assert (item["settings"], item["sequenceNumber"], item["operation"]) == ({"a": 1}, 0, None)
    await bed.put(settings={"a": 2})
    assert (await bed.item())["sequenceNumber"] == 2


async def test_expired_deletion_leaves_the_extension_where_it_is(bed):
    bed.publish()
    await bed.install()
    accepted = await bed.arm("DELETE", bed.extension())
    await bed.clock.advance(timedelta(hours=6, minutes=1))
    assert (await bed.operation(accepted))["error"]["code"] == "OperationExpired"
    assert (await bed.item())["desiredState"] == "enabled"


async def test_delete_cancels_what_is_open_and_the_agent_is_told_so(bed):
    bed.publish()
    created = await bed.put()
    item = await bed.item()
    await bed.report(item, "InProgress")
    removed = await bed.arm("DELETE", bed.extension())
    assert (await bed.operation(created))["status"] == "Canceled"
    late = await bed.report(item, "Succeeded")
    assert (late.status_code, late.json()["error"]["code"]) == (410, "OperationExpired")
    await bed.obey()
    assert (await bed.operation(removed))["status"] == "Succeeded"


async def test_deletion_of_the_machine_cancels_what_is_open(bed):
    bed.publish()
    created = await bed.put()
    await bed.pull()
    assert (await bed.arm("DELETE", bed.machine())).status_code == 200
    assert (await bed.operation(created))["status"] == "Canceled"
    assert bed.cloud.plane.store.rows("goals") == []
    await bed.add_machine("web-01")
    assert await bed.pull() == []


async def test_deletion_of_the_group_cancels_what_is_open(bed):
    bed.publish()
    created = await bed.put()
    await bed.arm("DELETE", bed.group, version="2022-09-01")
    await bed.clock.advance(timedelta(minutes=1))
    assert (await bed.operation(created))["status"] == "Canceled"


async def test_open_operations_and_their_six_hours_survive_a_restart(bed):
    bed.publish()
    waiting = await bed.put(protectedSettings={"p": "s"})
    await bed.pull()
    await bed.restart()
    item = await bed.item()
    assert item["protectedSettings"]["value"] == {"p": "s"}
    await bed.clock.advance(timedelta(hours=6, minutes=1))
    assert (await bed.operation(waiting))["error"]["code"] == "OperationExpired"


async def test_removals_come_first_then_what_was_asked_first(bed):
    for name in ("A", "B", "C"):
        bed.publish(name=f"Contoso.Tools.{name}")
    await bed.install("c", type="C")
    for name in ("b", "a"):
        await bed.clock.advance(timedelta(seconds=1))
        await bed.put(name, type=name.upper())
    await bed.arm("DELETE", bed.extension("c"))
    assert [item["name"] for item in await bed.pull()] == ["c", "b", "a"]


async def test_large_goal_state_comes_in_pages(bed):
    for number in range(3):
        bed.publish(name=f"Contoso.Tools.Big{number}")
        await bed.put(f"big-{number}", type=f"Big{number}", settings={"text": "x" * 60_000})
    first = await bed.gas("GET", "/extensions")
    assert [item["name"] for item in first.json()["value"]] == ["big-0"]
    second = await bed.gas("GET", first.json()["nextLink"])
    assert [item["name"] for item in second.json()["value"]] == ["big-1"]
    third = await bed.gas("GET", second.json()["nextLink"])
    assert [item["name"] for item in third.json()["value"]] == ["big-2"]
    assert "nextLink" not in third.json()
    await bed.arm("DELETE", bed.extension("big-2"))
    assert (await bed.gas("GET", first.json()["nextLink"])).status_code == 412
