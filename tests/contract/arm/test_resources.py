"""Subscriptions, locations, providers, tags, the list of everything, cloud metadata."""

from __future__ import annotations

import pytest

from .conftest import BASE, OTHER, SUBSCRIPTION, TENANT, Arm, error, widget_path

SUB = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{SUB}/resourceGroups/rg1"
TAGS = "providers/Microsoft.Resources/tags/default"


# -- subscriptions -------------------------------------------------------------------------------------------


async def test_locations_have_display_names_and_pairs(arm: Arm) -> None:
    answer = await arm.call("GET", f"{SUB}/locations", version="2022-12-01")
    found = {place["name"]: place for place in answer.json()["value"]}
    west = found["westeurope"]
    assert (west["displayName"], west["type"]) == ("West Europe", "Region")
    assert west["regionalDisplayName"] == "(Europe) West Europe"
    assert west["metadata"]["pairedRegion"] == [{"name": "northeurope", "id": f"{SUB}/locations/northeurope"}]
    pairs = [pair["name"] for place in found.values() for pair in place["metadata"]["pairedRegion"]]
    assert set(pairs) <= set(found)


async def test_every_hybrid_compute_region_is_a_location(arm: Arm) -> None:
    from arcbed_cloud.providers.hybridcompute.manifest import REGIONS

    answer = await arm.call("GET", f"{SUB}/locations", version="2022-12-01")
    names = {place["name"] for place in answer.json()["value"]}
    assert {place.replace(" ", "").lower() for place in REGIONS} <= names


async def test_the_tenant_is_listed_to_anybody(arm: Arm) -> None:
    (tenant,) = (await arm.call("GET", "/tenants", version="2022-12-01", who=OTHER)).json()["value"]
    assert (tenant["tenantId"], tenant["id"]) == (TENANT, f"/tenants/{TENANT}")


# -- providers -----------------------------------------------------------------------------------------------


async def test_fresh_subscription_has_only_arms_own_providers_registered(arm: Arm) -> None:
    answer = await arm.call("GET", f"{SUB}/providers?$select=namespace,registrationState")
    states = {item["namespace"]: item["registrationState"] for item in answer.json()["value"]}
    assert states == {
        "Microsoft.Authorization": "Registered",
        "Microsoft.GuestConfiguration": "NotRegistered",
        "Microsoft.HybridCompute": "NotRegistered",
        "Microsoft.HybridConnectivity": "NotRegistered",
        "Microsoft.Insights": "Registered",
        "Microsoft.PolicyInsights": "NotRegistered",
        "Microsoft.Resources": "Registered",
        "Microsoft.Test": "NotRegistered",
    }


async def test_register_answers_registering_and_the_first_get_registered(arm: Arm) -> None:
    """With the api-version that azure-mgmt-core uses when it registers by itself."""
    path = f"{SUB}/providers/microsoft.hybridcompute"
    answer = await arm.call("POST", f"{path}/register", version="2016-02-01")
    assert (answer.status_code, answer.json()["registrationState"]) == (200, "Registering")
    assert answer.json()["namespace"] == "Microsoft.HybridCompute"
    again = await arm.call("GET", path, version="2016-02-01")
    assert again.json()["registrationState"] == "Registered"
    repeated = await arm.call("POST", f"{path}/register", version="2016-02-01")
    assert repeated.json()["registrationState"] == "Registered"


async def test_registration_can_take_time_and_writes_wait_for_its_end(arm: Arm) -> None:
    object.__setattr__(arm.plane.settings, "register_seconds", 60.0)
    await arm.group()
    await arm.register()
    path = f"{SUB}/providers/Microsoft.Test"
    assert (await arm.call("GET", path)).json()["registrationState"] == "Registering"
    assert error(await arm.widget())[1] == "MissingSubscriptionRegistration"
    await arm.plane.clock.advance(seconds=60)
    assert (await arm.call("GET", path)).json()["registrationState"] == "Registered"
    assert (await arm.widget()).status_code == 201


async def test_unregister_is_refused_while_resources_exist(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    await arm.widget()
    path = f"{SUB}/providers/Microsoft.Test/unregister"
    assert error(await arm.call("POST", path))[:2] == (409, "CannotUnregisterResourceProvider")
    await arm.call("DELETE", GROUP)
    await arm.plane.clock.settled()
    answer = await arm.call("POST", path)
    assert (answer.status_code, answer.json()["registrationState"]) == (200, "Unregistering")
    await arm.group()
    assert error(await arm.widget())[1] == "MissingSubscriptionRegistration"


async def test_provider_document_lists_types_as_the_table_has_them(arm: Arm) -> None:
    document = (await arm.call("GET", f"{SUB}/providers/Microsoft.Test")).json()
    assert document["id"] == f"{SUB}/providers/Microsoft.Test"
    assert document["registrationPolicy"] == "RegistrationRequired"
    widgets = next(item for item in document["resourceTypes"] if item["resourceType"] == "widgets")
    assert widgets == {
        "resourceType": "widgets",
        "locations": ["West Europe", "North Europe"],
        "apiVersions": ["2026-02-01", "2025-01-01-preview", "2024-01-01"],
        "defaultApiVersion": "2026-02-01",
        "capabilities": "None",
    }
    listed = await arm.call("GET", f"{SUB}/providers/Microsoft.Test/resourceTypes")
    assert listed.json()["value"] == document["resourceTypes"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/register"), ("POST", "/unregister"), ("GET", "/resourceTypes")],
)
async def test_unknown_provider_is_an_invalid_namespace(arm: Arm, method: str, path: str) -> None:
    answer = await arm.call(method, f"{SUB}/providers/Contoso.Nothing{path}")
    assert error(answer) == (
        404,
        "InvalidResourceNamespace",
        "The resource namespace 'Contoso.Nothing' is invalid.",
    )


async def test_operations_of_a_provider_are_the_actions_that_roles_can_name(arm: Arm) -> None:
    answer = await arm.call("GET", "/providers/Microsoft.Test/operations", version="2026-02-01", who=OTHER)
    names = {item["name"] for item in answer.json()["value"]}
    assert {
        "Microsoft.Test/widgets/read",
        "Microsoft.Test/widgets/write",
        "Microsoft.Test/widgets/poke/action",
        "Microsoft.Test/locations/operationstatus/read",
    } <= names
    answer = await arm.call("GET", "/providers/Microsoft.Authorization/operations", version="2022-04-01")
    assert "Microsoft.Authorization/roleDefinitions/read" in {item["name"] for item in answer.json()["value"]}


# -- the list of everything ----------------------------------------------------------------------------------


async def fleet(arm: Arm) -> None:
    await arm.register()
    await arm.group()
    await arm.group("rg2")
    await arm.widget("a", tags={"env": "x"})
    await arm.widget("b", tags={"env": "y"}, location="northeurope")
    await arm.widget("c", group="rg2")
    path = f"{widget_path('a')}/parts/p"
    await arm.call("PUT", path, version="2026-02-01", json={"location": "westeurope"})


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("", "abc"),
        ("resourceType eq 'microsoft.test/WIDGETS'", "abc"),
        ("resourceType eq 'Microsoft.Test/other'", ""),
        ("resourceType ne 'Microsoft.Test/other'", "abc"),
        ("resourceGroup eq 'RG2'", "c"),
        ("name eq 'a' or name eq 'c'", "ac"),
        ("location eq 'North Europe'", "b"),
        ("tagName eq 'env' and tagValue eq 'y'", "b"),
        ("tagName eq 'env'", "ab"),
        ("substringof('B', name)", "b"),
        ("startswith(name, 'a') and resourceGroup eq 'rg1'", "a"),
        ("not (name eq 'a')", "bc"),
    ],
)
async def test_resources_are_filtered(arm: Arm, condition: str, names: str) -> None:
    await fleet(arm)
    answer = await arm.call("GET", f"{SUB}/resources?$filter={condition}")
    assert answer.status_code == 200, answer.text
    assert "".join(item["name"] for item in answer.json()["value"]) == names


async def test_resources_of_a_group_and_their_expanded_members(arm: Arm) -> None:
    await fleet(arm)
    answer = await arm.call("GET", f"{GROUP}/resources?$expand=createdTime,changedTime,provisioningState")
    assert answer.json()["value"][0] == {
        "id": widget_path("a"),
        "name": "a",
        "type": "Microsoft.Test/widgets",
        "location": "westeurope",
        "tags": {"env": "x"},
        "createdTime": "2026-03-01T00:00:00Z",
        "provisioningState": "Succeeded",
    }
    plain = await arm.call("GET", f"{GROUP}/resources")
    assert "createdTime" not in plain.json()["value"][0]
    assert len(plain.json()["value"]) == 2
    assert error(await arm.call("GET", f"{GROUP}/resources?$expand=all"))[1] == "InvalidExpandInQueryString"


# -- tags ----------------------------------------------------------------------------------------------------


async def test_tags_are_those_of_the_scope_and_change_by_put_patch_and_delete(arm: Arm) -> None:
    await fleet(arm)
    path = f"{widget_path('a')}/{TAGS}"

    async def tags() -> object:
        return (await arm.call("GET", widget_path("a"), version="2026-02-01")).json()["tags"]

    answer = await arm.call("GET", path)
    assert answer.json() == {
        "id": path,
        "name": "default",
        "type": "Microsoft.Resources/tags",
        "properties": {"tags": {"env": "x"}},
    }
    await arm.call("PUT", path, json={"properties": {"tags": {"a": "1", "B": "2"}}})
    assert await tags() == {"a": "1", "B": "2"}
    merged = {"operation": "Merge", "properties": {"tags": {"b": "3", "c": "4"}}}
    answer = await arm.call("PATCH", path, json=merged)
    assert answer.json()["properties"]["tags"] == {"a": "1", "b": "3", "c": "4"}
    removed = {"operation": "Delete", "properties": {"tags": {"A": "1", "c": "other"}}}
    await arm.call("PATCH", path, json=removed)
    assert await tags() == {"b": "3", "c": "4"}
    assert (await arm.call("DELETE", path)).status_code == 200
    assert await tags() == {}


async def test_subscription_and_group_have_tags_too(arm: Arm) -> None:
    await arm.group()
    for scope in (SUB, GROUP):
        body = {"properties": {"tags": {"owner": "us"}}}
        assert (await arm.call("PUT", f"{scope}/{TAGS}", json=body)).status_code == 200
    assert (await arm.call("GET", GROUP)).json()["tags"] == {"owner": "us"}
    assert (await arm.call("GET", SUB, version="2022-12-01")).json()["tags"] == {"owner": "us"}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "InvalidRequestContent"),
        ({"properties": {"tags": {"a": 1}}}, "InvalidRequestContent"),
        ({"properties": {"tags": {"a": "1", "A": "2"}}}, "InvalidRequestContent"),
        ({"properties": {"tags": {"a/b": "1"}}}, "InvalidTagNameCharacters"),
        ({"properties": {"tags": {"azure-thing": "1"}}}, "InvalidTagName"),
        ({"properties": {"tags": {"a" * 513: "1"}}}, "InvalidTagName"),
        ({"properties": {"tags": {"": "1"}}}, "InvalidTagName"),
        ({"properties": {"tags": {"a": "1" * 257}}}, "InvalidTagValueLength"),
        ({"properties": {"tags": {f"t{index}": "" for index in range(51)}}}, "TooManyTags"),
    ],
)
async def test_tags_against_the_rules_are_refused_and_the_old_ones_stay(
    arm: Arm, body: dict[str, object], code: str
) -> None:
    await fleet(arm)
    path = f"{widget_path('a')}/{TAGS}"
    assert error(await arm.call("PUT", path, json=body))[:2] == (400, code)
    assert (await arm.call("GET", path)).json()["properties"]["tags"] == {"env": "x"}


async def test_merge_that_ends_above_fifty_tags_is_refused(arm: Arm) -> None:
    await fleet(arm)
    path = f"{widget_path('a')}/{TAGS}"
    many = {"operation": "Merge", "properties": {"tags": {f"t{index}": "" for index in range(50)}}}
    assert error(await arm.call("PATCH", path, json=many))[1] == "TooManyTags"
    unknown = {"operation": "Invert", "properties": {"tags": {}}}
    assert error(await arm.call("PATCH", path, json=unknown))[1] == "InvalidRequestContent"


async def test_tags_of_something_that_is_not_there_are_404(arm: Arm) -> None:
    await arm.group()
    assert error(await arm.call("GET", f"{widget_path('zz')}/{TAGS}"))[1] == "ParentResourceNotFound"
    assert error(await arm.call("GET", f"{SUB}/resourceGroups/zz/{TAGS}"))[1] == "ResourceGroupNotFound"
    other = f"{GROUP}/providers/Microsoft.Resources/tags/special"
    assert error(await arm.call("GET", other))[:2] == (404, "TagsNotFound")


# -- cloud metadata ------------------------------------------------------------------------------------------


async def test_metadata_is_anonymous_an_object_in_the_new_form_and_a_list_in_the_old(arm: Arm) -> None:
    new = (await arm.client.get("/metadata/endpoints?api-version=2022-09-01")).json()
    old = (await arm.client.get("/metadata/endpoints?api-version=2019-05-01")).json()
    assert old == [new]
    assert new["authentication"]["loginEndpoint"] == BASE
    assert new["authentication"]["audiences"][0] == "https://management.core.windows.net/"
    assert new["resourceManager"] == f"{BASE}/"
    assert new["suffixes"]["relayEndpointSuffix"] == "localhost:8443/relay"
    assert new["dataplaneEndpoints"] == {
        "arcHybridIdentityServiceEndpoint": f"{BASE}/his",
        "arcGuestConfigurationServiceEndpoint": f"{BASE}/gas",
        "arcGlobalNotificationServiceEndpoint": f"{BASE}/gns",
    }


async def test_metadata_on_azures_host_name_has_azures_names(arm: Arm) -> None:
    document = (
        await arm.client.get("https://management.azure.com/metadata/endpoints?api-version=2022-09-01")
    ).json()
    assert document["name"] == "AzureCloud"
    assert document["authentication"]["loginEndpoint"] == "https://login.microsoftonline.com"
    assert (
        document["dataplaneEndpoints"]["arcHybridIdentityServiceEndpoint"] == "https://gbl.his.arc.azure.com"
    )
    assert document["suffixes"]["relayEndpointSuffix"] == "servicebus.windows.net"
    assert "localhost" not in str(document)


async def test_metadata_tolerates_a_doubled_slash_and_refuses_what_is_wrong(arm: Arm) -> None:
    request = arm.client.build_request("GET", f"{BASE}//metadata/endpoints?api-version=2022-09-01")
    assert (await arm.client.send(request)).status_code == 200
    assert error(await arm.client.get("/metadata/endpoints"))[1] == "MissingApiVersionParameter"
    assert (await arm.client.put("/metadata/endpoints?api-version=2022-09-01")).status_code == 405
