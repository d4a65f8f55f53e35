"""azure-mgmt-authorization: the assignment that decides is the one in the state, at the very next call."""

from __future__ import annotations

import uuid

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.mgmt.hybridcompute import HybridComputeManagementClient

ONBOARDING = "b64e21ea-ac4e-4cdf-9dc9-5b892992bee7"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"


@pytest.fixture
def onboarding_client(running_cloud, subscription, options, credential_options):
    principal = running_cloud.env["onboarding"]
    credential = ClientSecretCredential(
        running_cloud.env["tenantId"], principal["clientId"], principal["clientSecret"], **credential_options
    )
    with HybridComputeManagementClient(credential, subscription, **options) as client:
        yield client


def test_builtin_role_is_found_by_name(authorization, subscription):
    scope = f"/subscriptions/{subscription}"
    found = list(
        authorization.role_definitions.list(scope, filter="roleName eq 'azure connected machine onboarding'")
    )
    assert [role.name for role in found] == [ONBOARDING]
    assert "Microsoft.HybridCompute/machines/write" in found[0].permissions[0].actions


def test_removed_assignment_is_a_403_on_the_very_next_call(
    running_cloud, authorization, subscription, group, onboarding_client, registered
):
    registered("Microsoft.HybridCompute")
    scope = f"/subscriptions/{subscription}/resourceGroups/{group}"
    with pytest.raises(HttpResponseError) as refused:
        onboarding_client.machines.begin_delete(group, "nothing")
    assert refused.value.status_code == 403
    assert refused.value.error.code == "AuthorizationFailed"
    assert "Microsoft.HybridCompute/machines/delete" in str(refused.value)

    name = str(uuid.uuid4())  # noqa: TID251 - the client's own choice of a name
    made = authorization.role_assignments.create(
        scope,
        name,
        {
            "role_definition_id": f"/subscriptions/{subscription}/providers/Microsoft.Authorization"
            "/roleDefinitions/cd570a14-e51a-42ad-bac8-bafd67325302",
            "principal_id": running_cloud.env["onboarding"]["objectId"],
            "principal_type": "ServicePrincipal",
        },
    )
    assert running_cloud.stored("grants", made.id)["properties"]["principalId"] == made.principal_id
    onboarding_client.machines.begin_delete(group, "nothing")
    deleted = authorization.role_assignments.delete(scope, name)
    assert deleted.name == name
    assert running_cloud.stored("grants", made.id) is None
    with pytest.raises(HttpResponseError) as refused:
        onboarding_client.machines.begin_delete(group, "nothing")
    assert refused.value.status_code == 403


def test_assignments_are_listed_at_scope_with_inherited_ones(authorization, running_cloud, group):
    found = list(authorization.role_assignments.list_for_resource_group(group, filter="atScope()"))
    principals = {item.principal_id for item in found}
    assert running_cloud.env["owner"]["objectId"] in principals
