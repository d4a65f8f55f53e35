"""Resource groups: create, change, list, delete with everything in them."""

from __future__ import annotations

import pytest

from .conftest import OTHER, SUBSCRIPTION, Arm, error, widget_path

GROUPS = f"/subscriptions/{SUBSCRIPTION}/resourcegroups"


async def test_group_is_201_when_new_and_200_after(arm: Arm) -> None:
    body = {"location": "West Europe", "tags": {"env": "test"}}
    first = await arm.call("PUT", f"{GROUPS}/RG1", json=body)
    assert first.status_code == 201
    assert first.json() == {
        "id": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/RG1",
        "name": "RG1",
        "type": "Microsoft.Resources/resourceGroups",
        "location": "westeurope",
        "tags": {"env": "test"},
        "properties": {"provisioningState": "Succeeded"},
    }
    again = await arm.call("PUT", f"{GROUPS}/rg1", json={"location": "westeurope"})
    assert (again.status_code, again.json()["name"]) == (200, "RG1")
    assert "tags" not in again.json()


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("rg1", {"location": "eastus"}, "InvalidResourceGroupLocation"),
        ("new", {"location": "atlantis"}, "LocationNotAvailableForResourceGroup"),
        ("new", {}, "LocationRequired"),
        ("new", {"location": 7}, "InvalidRequestContent"),
        ("new", {"location": "westeurope", "tags": []}, "InvalidRequestContent"),
        ("new", {"location": "westeurope", "managedBy": 4}, "InvalidRequestContent"),
        ("ends.", {"location": "westeurope"}, "InvalidResourceGroupName"),
        ("a" * 91, {"location": "westeurope"}, "InvalidResourceGroupName"),
        ("a b", {"location": "westeurope"}, "InvalidResourceGroupName"),
    ],
)
async def test_group_that_cannot_be_is_refused_and_leaves_nothing(
    arm: Arm, name: str, body: dict[str, object], code: str
) -> None:
    await arm.group()
    assert error(await arm.call("PUT", f"{GROUPS}/{name}", json=body))[1] == code
    assert (await arm.call("GET", f"{GROUPS}/rg1")).json()["location"] == "westeurope"
    assert (await arm.call("HEAD", f"{GROUPS}/new")).status_code == 404


async def test_patch_replaces_the_tags_as_a_whole_and_nothing_else(arm: Arm) -> None:
    await arm.group()
    await arm.call("PATCH", f"{GROUPS}/rg1", json={"tags": {"a": "1", "b": "2"}})
    answer = await arm.call("PATCH", f"{GROUPS}/rg1", json={"tags": {"c": "3"}})
    assert (answer.status_code, answer.json()["tags"]) == (200, {"c": "3"})
    untouched = await arm.call("PATCH", f"{GROUPS}/rg1", json={})
    assert untouched.json()["tags"] == {"c": "3"}


async def test_head_tells_existence_without_a_body(arm: Arm) -> None:
    await arm.group()
    assert (await arm.call("HEAD", f"{GROUPS}/RG1")).status_code == 204
    absent = await arm.call("HEAD", f"{GROUPS}/absent")
    assert (absent.status_code, absent.content) == (404, b"")
    assert error(await arm.call("GET", f"{GROUPS}/absent"))[1] == "ResourceGroupNotFound"


async def test_list_filters_by_tag_and_value_of_the_same_tag(arm: Arm) -> None:
    for name, tags in {"a": {"env": "x", "zone": "y"}, "b": {"env": "y"}, "c": {"ENV": "Y"}, "d": {}}.items():
        await arm.group(name)
        await arm.call("PATCH", f"{GROUPS}/{name}", json={"tags": tags})

    async def names(condition: str) -> list[str]:
        answer = await arm.call("GET", f"{GROUPS}?$filter={condition}")
        return [group["name"] for group in answer.json()["value"]]

    assert await names("") == ["a", "b", "c", "d"]
    assert await names("tagName eq 'env'") == ["a", "b", "c"]
    assert await names("tagName eq 'env' and tagValue eq 'y'") == ["b", "c"]
    assert (
        error(await arm.call("GET", f"{GROUPS}?$filter=colour eq 'red'"))[1] == "InvalidFilterInQueryString"
    )
    assert error(await arm.call("GET", f"{GROUPS}?$filter=tagName eq"))[1] == "InvalidFilterInQueryString"


async def test_deleting_a_group_polls_location_and_takes_everything_in_it(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    await arm.group("other")
    for name in ("w1", "w2"):
        assert (await arm.widget(name)).status_code == 201
    await arm.widget("w1", group="other")
    part = await arm.call(
        "PUT", f"{widget_path()}/parts/p1", version="2026-02-01", json={"location": "westeurope"}
    )
    assert part.status_code == 201
    inner = await arm.grant("Reader", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg1")

    answer = await arm.call("DELETE", f"{GROUPS}/rg1")
    assert (answer.status_code, answer.content) == (202, b"")
    assert answer.headers["content-length"] == "0"
    assert "retry-after" not in answer.headers
    location = answer.headers["location"]
    assert location.startswith(f"https://localhost:8443/subscriptions/{SUBSCRIPTION}/operationresults/")

    await arm.plane.clock.settled()
    done = await arm.call("GET", location)
    assert (done.status_code, done.content) == (200, b"")
    assert error(await arm.call("GET", f"{GROUPS}/rg1"))[1] == "ResourceGroupNotFound"
    assert arm.widgets.deleted == ["w2", "p1", "w1"]  # children before their parents
    assert arm.plane.store.get("grants", inner.lower()) is None
    left = await arm.call("GET", f"/subscriptions/{SUBSCRIPTION}/resources")
    assert [item["id"] for item in left.json()["value"]] == [widget_path("w1", "other")]


async def test_group_being_deleted_shows_it_and_takes_no_writes(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    async with arm.plane.store.unit() as unit:
        row = arm.plane.store.get("resources", f"{GROUPS}/rg1")
        assert row is not None
        document = {**row.document, "properties": {"provisioningState": "Deleting"}}
        unit.put("resources", row.key, document, kind=row.kind, scope=row.scope)
    assert (await arm.call("GET", f"{GROUPS}/rg1")).json()["properties"]["provisioningState"] == "Deleting"
    for answer in (
        await arm.widget(),
        await arm.call("PUT", f"{GROUPS}/rg1", json={"location": "westeurope"}),
        await arm.call("PATCH", f"{GROUPS}/rg1", json={"tags": {}}),
    ):
        assert error(answer) == (
            409,
            "ResourceGroupBeingDeleted",
            "The resource group 'rg1' is in deprovisioning state and cannot perform this operation.",
        )


async def test_big_group_is_deleted_to_the_last_resource(arm: Arm) -> None:
    await arm.group()
    async with arm.plane.store.unit() as unit:
        for index in range(1_203):
            path = widget_path(f"w{index}")
            document = {"id": path, "name": f"w{index}", "type": "Microsoft.Test/widgets"}
            unit.put(
                "resources", path.lower(), document, kind="microsoft.test/widgets", scope=f"{GROUPS}/rg1"
            )
    answer = await arm.call("DELETE", f"{GROUPS}/rg1")
    await arm.plane.clock.settled()
    assert (await arm.call("GET", answer.headers["location"])).status_code == 200
    assert len(arm.widgets.deleted) == 1_203
    assert [row.key for row in arm.plane.store.rows("resources")] == [f"/subscriptions/{SUBSCRIPTION}"]


async def test_deleting_needs_the_right_and_an_existing_group(arm: Arm) -> None:
    await arm.group()
    await arm.grant("Reader", f"/subscriptions/{SUBSCRIPTION}")
    assert error(await arm.call("DELETE", f"{GROUPS}/rg1", who=OTHER))[1] == "AuthorizationFailed"
    assert error(await arm.call("DELETE", f"{GROUPS}/absent"))[1] == "ResourceGroupNotFound"
