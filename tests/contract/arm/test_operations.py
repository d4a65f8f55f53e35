"""Long-running operations: monitors, status bodies, the bed's clock, and life after a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .conftest import OTHER, SUBSCRIPTION, Arm, close_arm, error, make_plane, open_arm, widget_path

OLD = "2024-01-01"
RG = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/rg1"


async def begin(arm: Arm) -> Any:
    await arm.register()
    await arm.group()
    await arm.widget()
    answer = await arm.call("DELETE", widget_path(), version=OLD)
    assert (answer.status_code, answer.content) == (202, b"")
    return answer


async def test_first_answer_has_both_absolute_monitors_and_no_retry_after(arm: Arm) -> None:
    answer = await begin(arm)
    identifier = answer.headers["x-ms-request-id"]
    root = (
        f"https://localhost:8443/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Test/locations/westeurope"
    )
    assert answer.headers["azure-asyncoperation"] == f"{root}/operationstatus/{identifier}?api-version={OLD}"
    assert answer.headers["location"] == f"{root}/operationresults/{identifier}?api-version={OLD}"
    assert "retry-after" not in answer.headers


async def test_status_is_pending_with_monitors_until_the_beds_clock_has_come_to_the_work(arm: Arm) -> None:
    answer = await begin(arm)
    status, result = answer.headers["azure-asyncoperation"], answer.headers["location"]
    pending = await arm.call("GET", status)
    assert pending.json() == {
        "name": answer.headers["x-ms-request-id"],
        "status": "Queued",
        "startTime": "2026-03-01T00:00:00.0000000Z",
    }
    assert pending.headers["azure-asyncoperation"] == status
    assert pending.headers["location"] == result
    assert pending.headers["x-ms-retry-after-ms"] == "200"
    assert (await arm.call("GET", result)).status_code == 202
    await arm.plane.clock.advance(seconds=29)
    assert (await arm.call("GET", status)).json()["status"] == "Queued"
    await arm.plane.clock.advance(seconds=1)
    done = await arm.call("GET", status)
    assert (done.status_code, done.json()["status"]) == (200, "Succeeded")
    assert "location" not in done.headers
    assert "azure-asyncoperation" not in done.headers
    ended = await arm.call("GET", result)
    assert (ended.status_code, ended.content) == (200, b"")
    assert error(await arm.call("GET", widget_path(), version=OLD))[1] == "ResourceNotFound"


async def test_outcome_reported_by_the_provider_shows_in_the_status_body(arm: Arm) -> None:
    answer = await begin(arm)
    status, identifier = answer.headers["azure-asyncoperation"], answer.headers["x-ms-request-id"]
    operations = arm.front.operations
    async with arm.plane.store.unit() as unit:
        operations.progress(unit, identifier)
    assert (await arm.call("GET", status)).json()["status"] == "InProgress"
    async with arm.plane.store.unit() as unit:
        operations.succeed(unit, identifier, {"id": "x", "properties": {}})
    body = (await arm.call("GET", status)).json()
    assert (body["status"], body["properties"]) == ("Succeeded", {"id": "x", "properties": {}})
    async with arm.plane.store.unit() as unit:
        operations.fail(unit, identifier, "TooLate", "it has ended")
    assert (await arm.call("GET", status)).json()["status"] == "Succeeded"


async def test_failure_shows_code_and_message_and_the_result_is_an_error(arm: Arm) -> None:
    answer = await begin(arm)
    async with arm.plane.store.unit() as unit:
        arm.front.operations.fail(unit, answer.headers["x-ms-request-id"], "Broken", "It broke.")
    body = (await arm.call("GET", answer.headers["azure-asyncoperation"])).json()
    assert (body["status"], body["error"]) == ("Failed", {"code": "Broken", "message": "It broke."})
    assert error(await arm.call("GET", answer.headers["location"]))[1:] == ("Broken", "It broke.")


async def test_work_that_breaks_ends_the_operation_as_failed(arm: Arm) -> None:
    async def broken(_operation: dict[str, Any]) -> None:
        raise RuntimeError("inside")

    arm.front.operations.perform("widgets.delete", broken)
    answer = await begin(arm)
    await arm.plane.clock.advance(minutes=1)
    body = (await arm.call("GET", answer.headers["azure-asyncoperation"])).json()
    assert (body["status"], body["error"]["code"]) == ("Failed", "InternalServerError")
    assert "inside" not in str(body)


async def test_unknown_operation_is_404_also_under_another_namespace(arm: Arm) -> None:
    answer = await begin(arm)
    identifier = answer.headers["x-ms-request-id"]
    status = answer.headers["azure-asyncoperation"]
    assert error(await arm.call("GET", status.replace(identifier, "nope")))[:2] == (404, "OperationNotFound")
    other = f"/subscriptions/{SUBSCRIPTION}/operationresults/{identifier}"
    assert error(await arm.call("GET", other))[:2] == (404, "OperationNotFound")


async def test_operation_is_shown_to_who_began_it_and_to_readers_only(arm: Arm) -> None:
    answer = await begin(arm)
    status = answer.headers["azure-asyncoperation"]
    assert error(await arm.call("GET", status, who=OTHER))[1] == "AuthorizationFailed"
    await arm.grant("Reader", f"/subscriptions/{SUBSCRIPTION}")
    assert (await arm.call("GET", status, who=OTHER)).status_code == 200


async def test_process_killed_in_between_finishes_the_work_after_its_restart(tmp_path: Path) -> None:
    database = tmp_path / "state.db"
    first = await open_arm(make_plane(tmp_path, path=database))
    answer = await begin(first)
    # No shutdown: the second process finds what a kill -9 leaves.
    second = await open_arm(make_plane(tmp_path, path=database, boot=2))
    status = answer.headers["azure-asyncoperation"]
    assert (await second.call("GET", status)).json()["status"] == "Queued"
    await second.plane.clock.advance(seconds=30)
    assert (await second.call("GET", status)).json()["status"] == "Succeeded"
    assert error(await second.call("GET", widget_path(), version=OLD))[1] == "ResourceNotFound"
    for arm in (first, second):
        await close_arm(arm)


async def test_overdue_work_of_an_earlier_process_runs_at_start(tmp_path: Path) -> None:
    database = tmp_path / "state.db"
    first = await open_arm(make_plane(tmp_path, path=database))
    await first.group()
    first.front.operations._started = False  # it dies before the work begins
    answer = await first.call("DELETE", RG)
    assert (await first.call("GET", answer.headers["location"])).status_code == 202
    second = await open_arm(make_plane(tmp_path, path=database, boot=2))
    await second.plane.clock.settled()
    assert (await second.call("GET", answer.headers["location"])).status_code == 200
    assert (await second.call("HEAD", RG)).status_code == 404
    for arm in (first, second):
        await close_arm(arm)


async def test_reset_and_restore_forget_and_take_up_pending_work(arm: Arm, tmp_path: Path) -> None:
    answer = await begin(arm)
    timer = f"arm/operations/{answer.headers['x-ms-request-id']}"
    assert arm.plane.clock.due(timer) is not None
    arm.plane.store.snapshot(tmp_path / "copy.db")
    arm.plane.store.reset()
    assert arm.plane.clock.due(timer) is None
    arm.plane.store.restore(tmp_path / "copy.db")
    assert arm.plane.clock.due(timer) is not None
    await arm.plane.clock.advance(seconds=30)
    assert (await arm.call("GET", answer.headers["azure-asyncoperation"])).json()["status"] == "Succeeded"


async def test_operations_are_forgotten_a_week_after_they_began(arm: Arm) -> None:
    answer = await begin(arm)
    await arm.plane.clock.advance(days=7)
    await arm.front.operations.prune()
    assert arm.front.operations.status(answer.headers["x-ms-request-id"]) == "Succeeded"
    await arm.plane.clock.advance(minutes=1)
    await arm.front.operations.prune()
    assert arm.front.operations.status(answer.headers["x-ms-request-id"]) is None
