"""azure-mgmt-resource: groups, providers, generic resources. Contents are compared with the database file."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.resource.subscriptions import SubscriptionClient


def test_group_is_created_read_tagged_listed_and_deleted(running_cloud, resources, subscription):
    made = resources.resource_groups.create_or_update(
        "sdk-rg", {"location": "westeurope", "tags": {"a": "1"}}
    )
    assert made.id == f"/subscriptions/{subscription}/resourceGroups/sdk-rg"
    assert running_cloud.stored("resources", made.id)["tags"] == {"a": "1"}
    assert resources.resource_groups.check_existence("SDK-RG")
    resources.resource_groups.update("sdk-rg", {"tags": {"b": "2"}})
    assert running_cloud.stored("resources", made.id)["tags"] == {"b": "2"}
    assert "sdk-rg" in [group.name for group in resources.resource_groups.list()]
    poller = resources.resource_groups.begin_delete("sdk-rg")
    poller.result(30)
    assert poller.done()
    assert running_cloud.stored("resources", made.id) is None
    assert not resources.resource_groups.check_existence("sdk-rg")
    with pytest.raises(ResourceNotFoundError, match="ResourceGroupNotFound"):
        resources.resource_groups.get("sdk-rg")


def test_group_in_another_location_is_refused(resources, group):
    with pytest.raises(HttpResponseError) as error:
        resources.resource_groups.create_or_update(group, {"location": "northeurope"})
    assert error.value.status_code == 409
    assert error.value.error.code == "InvalidResourceGroupLocation"


def test_provider_is_registered_and_lists_its_types(resources):
    resources.providers.register("Microsoft.HybridConnectivity")
    provider = resources.providers.get("Microsoft.HybridConnectivity")
    assert provider.registration_state == "Registered"
    machines = next(
        kind
        for kind in resources.providers.get("Microsoft.HybridCompute").resource_types
        if kind.resource_type == "machines"
    )
    assert machines.api_versions
    assert "2022-03-10" in machines.api_versions


def test_generic_resource_list_is_filtered_by_type(
    running_cloud, resources, hybridcompute, group, registered
):
    registered("Microsoft.HybridCompute")
    resources.resources.begin_create_or_update_by_id(
        f"/subscriptions/{running_cloud.env['subscriptionId']}/resourceGroups/{group}"
        "/providers/Microsoft.HybridCompute/machines/generic",
        {
            "location": "westeurope",
            "properties": {"vmId": "1c2d3e4f-0000-4000-8000-000000000001"},
        },
        api_version="2024-07-10",
        polling=False,  # it stays Creating until an agent's first heartbeat
    )
    found = resources.resources.list(filter="resourceType eq 'Microsoft.HybridCompute/machines'")
    assert f"{group}/providers" in next(item.id for item in found if item.name == "generic")
    assert hybridcompute.machines.get(group, "generic").name == "generic"


def test_subscription_and_locations_are_listed(running_cloud, owner, options):
    with SubscriptionClient(owner, **options) as client:
        subscription = next(iter(client.subscriptions.list()))
        assert subscription.subscription_id == running_cloud.env["subscriptionId"]
        assert [tenant.tenant_id for tenant in client.tenants.list()] == [running_cloud.env["tenantId"]]
        names = [place.name for place in client.subscriptions.list_locations(subscription.subscription_id)]
        assert "westeurope" in names
