"""The activity log tells of every write and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import OTHER, OWNER, SUBSCRIPTION, TENANT, Arm, error, widget_path

SUB = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{SUB}/resourcegroups/rg1"
VALUES = f"{SUB}/providers/Microsoft.Insights/eventtypes/management/values"
SINCE = "eventTimestamp ge '2026-02-01T00:00:00Z'"


async def events(arm: Arm, condition: str = SINCE, **more: Any) -> list[dict[str, Any]]:
    answer = await arm.call("GET", f"{VALUES}?$filter={condition}", version="2015-04-01", **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["value"]


async def test_write_leaves_a_begin_and_an_end_newest_first(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    answer = await arm.widget(tags={"secret": "value"})
    end, begin, *_ = await events(arm)
    assert begin["eventName"]["value"] == "BeginRequest"
    assert begin["status"]["value"] == "Started"
    assert end["eventName"] == {"value": "EndRequest", "localizedValue": "End request"}
    assert end["status"] == {"value": "Succeeded", "localizedValue": "Succeeded"}
    assert end["subStatus"] == {"value": "Created", "localizedValue": "Created (HTTP Status Code: 201)"}
    assert end["authorization"] == {"action": "Microsoft.Test/widgets/write", "scope": widget_path()}
    assert end["operationName"]["value"] == "Microsoft.Test/widgets/write"
    assert end["resourceId"] == widget_path()
    assert end["resourceType"]["value"] == "Microsoft.Test/widgets"
    assert end["resourceProviderName"]["value"] == "Microsoft.Test"
    assert end["resourceGroupName"] == "rg1"
    assert (end["caller"], end["claims"]["oid"]) == (OWNER, OWNER)
    assert (end["tenantId"], end["subscriptionId"]) == (TENANT, SUBSCRIPTION)
    assert end["correlationId"] == answer.headers["x-ms-correlation-request-id"]
    assert end["httpRequest"]["method"] == "PUT"
    assert end["eventTimestamp"] == "2026-03-01T00:00:00.0000000Z"
    assert end["id"].startswith(f"{widget_path()}/events/{end['eventDataId']}/ticks/6390")
    assert "value" not in str(end["properties"])  # bodies stay out
    assert (begin["operationId"], begin["eventDataId"] != end["eventDataId"]) == (end["operationId"], True)


async def test_write_and_its_events_are_one_commit(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    commits: list[str] = []
    arm.front._plane.store._db.set_trace_callback(commits.append)
    assert (await arm.widget()).status_code == 201
    assert commits.count("COMMIT") == 1
    assert sum("INTO activity" in sql for sql in commits) == 1
    assert sum("INTO resources" in sql for sql in commits) == 1


async def test_reads_leave_nothing_and_refused_writes_a_failure(arm: Arm) -> None:
    await arm.group()
    before = len(await events(arm))
    await arm.call("GET", GROUP)
    await arm.call("GET", f"{GROUP}/resources")
    assert len(await events(arm)) == before
    await arm.call("DELETE", GROUP, who=OTHER)
    await arm.call("PUT", GROUP, json={"location": "eastus"})
    conflict, _, forbidden, _ = (await events(arm))[: len(await events(arm)) - before]
    assert (forbidden["status"]["value"], forbidden["subStatus"]["value"]) == ("Failed", "Forbidden")
    assert (forbidden["caller"], forbidden["level"]) == (OTHER, "Error")
    assert (conflict["status"]["value"], conflict["subStatus"]["value"]) == ("Failed", "Conflict")


async def test_long_running_write_is_accepted_first_and_succeeds_later(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    await arm.widget()
    answer = await arm.call("DELETE", widget_path(), version="2024-01-01")
    assert (await events(arm))[0]["status"]["value"] == "Accepted"
    await arm.plane.clock.advance(seconds=30)
    end = (await events(arm))[0]
    assert end["status"]["value"] == "Succeeded"
    assert end["correlationId"] == answer.headers["x-ms-correlation-request-id"]
    assert end["eventTimestamp"] == "2026-03-01T00:00:30.0000000Z"


async def test_filters_select_by_group_provider_resource_and_correlation(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    mine = {"x-ms-correlation-request-id": "mine"}
    await arm.group("rg2", headers=mine)
    await arm.widget()

    async def actions(condition: str) -> set[str]:
        return {event["authorization"]["action"] for event in await events(arm, f"{SINCE} and {condition}")}

    group = "Microsoft.Resources/subscriptions/resourceGroups/write"
    assert await actions("resourceGroupName eq 'RG1'") == {group, "Microsoft.Test/widgets/write"}
    assert await actions("resourceProvider eq Microsoft.Test") == {
        "Microsoft.Test/register/action",
        "Microsoft.Test/widgets/write",
    }
    assert await actions(f"resourceUri eq '{widget_path()}'") == {"Microsoft.Test/widgets/write"}
    assert await actions("correlationId eq 'mine'") == {group}
    assert await events(arm, "eventTimestamp ge '2026-03-01T00:00:01Z'") == []
    selected = await arm.call("GET", f"{VALUES}?$filter={SINCE}&$select=eventName,id", version="2015-04-01")
    assert set(selected.json()["value"][0]) == {"eventName", "id"}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "The $filter query parameter is required"),
        ("$filter=resourceGroupName eq 'x'", "must contain a start time"),
        ("$filter=eventTimestamp ge 'yesterday'", "is not valid"),
        ("$filter=eventTimestamp ge '2026-03-01' and colour eq 'red'", "not supported"),
        ("$filter=eventTimestamp ge", "ends too early"),
        (
            "$filter=eventTimestamp ge '2025-11-30T23:59:59Z'",
            "The start time cannot be more than 90 days in the past.",
        ),
    ],
)
async def test_bad_queries_are_answered_without_the_envelope(arm: Arm, query: str, message: str) -> None:
    answer = await arm.call("GET", f"{VALUES}?{query}", version="2015-04-01")
    assert answer.status_code == 400
    assert set(answer.json()) == {"code", "message"}
    assert answer.json()["code"] == "BadRequest"
    assert message in answer.json()["message"]


async def test_log_is_paged_newest_first_and_survives_in_the_database(arm: Arm) -> None:
    for index in range(101):
        await arm.group(f"rg{index}")
    first = await arm.call("GET", f"{VALUES}?$filter={SINCE}", version="2015-04-01")
    assert len(first.json()["value"]) == 200
    second = await arm.call("GET", first.json()["nextLink"])
    assert [event["resourceGroupName"] for event in second.json()["value"]] == ["rg0", "rg0"]


async def test_reading_needs_a_role_and_another_kind_of_event_is_404(arm: Arm) -> None:
    answer = await arm.call("GET", f"{VALUES}?$filter={SINCE}", version="2015-04-01", who=OTHER)
    assert error(answer)[1] == "AuthorizationFailed"
    answer = await arm.call("GET", VALUES.replace("management", "other"), version="2015-04-01")
    assert answer.status_code == 404
    categories = await arm.call("GET", "/providers/Microsoft.Insights/eventcategories", version="2015-04-01")
    assert categories.json()["value"][0] == {"value": "Administrative", "localizedValue": "Administrative"}
