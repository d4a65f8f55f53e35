"""azure-mgmt-resource-policy and azure-mgmt-policyinsights: from definitions to states and remediations."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.policyinsights import PolicyInsightsClient
from azure.mgmt.resource.policy import PolicyClient

from arcbed.harness.admin import Admin

BASELINE = "fc9b3da7-8347-4380-8e70-0a0361d8dedd"
SSH_DEPLOY = "e22a2f03-0534-4d10-8ea0-aa25a6113233"
BUILTIN = "/providers/Microsoft.Authorization/policyDefinitions"
CONTRIBUTOR = "088ab73d-1256-47ae-bea9-9de8e7131f31"
ARC = {"IncludeArcMachines": {"value": "true"}}
GUESTS = "microsoft.guestconfiguration/guestconfigurationassignments"


@pytest.fixture(autouse=True)
def _providers(registered):
    for namespace in ("HybridCompute", "GuestConfiguration", "PolicyInsights"):
        registered(f"Microsoft.{namespace}")


@pytest.fixture(scope="module")
def policy(owner, subscription, options) -> Iterator[PolicyClient]:
    with PolicyClient(owner, subscription, **options) as client:
        yield client


@pytest.fixture(scope="module")
def insights(owner, subscription, options) -> Iterator[PolicyInsightsClient]:
    with PolicyInsightsClient(owner, subscription, **options) as client:
        yield client


@pytest.fixture
def scope(subscription, group) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}"


@pytest.fixture
def machine(hybridcompute, group) -> str:
    """The id of a Linux machine."""
    number = int(group.removeprefix("rg-"), 16)
    body = {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "properties": {"vmId": f"7a0d1c9e-2f10-4d53-9d5e-{number:012d}", "osType": "linux"},
    }
    return hybridcompute.machines.create_or_update(group, "web-01", body).id


@pytest.fixture
def advance(running_cloud):
    """Move the bed's time by seconds."""
    admin = Admin(running_cloud.state)

    def move(seconds: int) -> None:
        asyncio.run(admin.call("POST", "clock/advance", {"seconds": seconds}))

    return move


@pytest.fixture
def scan(insights, subscription, group):
    """Evaluate the group now, as a client does, and wait for the end."""

    def trigger() -> None:
        insights.policy_states.begin_trigger_resource_group_evaluation(
            subscription, group, polling_interval=0
        ).result(20)

    return trigger


def assign(policy, scope, name, definition, **more):
    properties = {"policyDefinitionId": definition, "parameters": ARC, **more.pop("properties", {})}
    return policy.policy_assignments.create(scope, name, {"properties": properties, **more})


def test_builtin_definitions_have_their_real_names(policy):
    found = policy.policy_definitions.get_built_in(BASELINE)
    assert found.policy_type == "BuiltIn"
    assert found.display_name == (
        "Linux machines should meet requirements for the Azure compute security baseline"
    )
    assert found.metadata["guestConfiguration"]["name"] == "AzureLinuxBaseline"
    listed = {one.name for one in policy.policy_definitions.list_built_in()}
    assert BASELINE in listed
    assert len(listed) == 89
    assert {one.name for one in policy.policy_set_definitions.list_built_in()} >= {
        "095e4ed9-c835-4ab6-9439-b5644362a06c"
    }


def test_custom_definition_and_initiative_live_and_die(running_cloud, policy, scope, group):
    rule = {
        "if": {
            "allOf": [
                {"field": "type", "equals": "Microsoft.HybridCompute/machines"},
                {"field": "tags['owner']", "exists": "false"},
            ]
        },
        "then": {"effect": "audit"},
    }
    made = policy.policy_definitions.create_or_update(
        f"d-{group}", {"properties": {"mode": "Indexed", "policyRule": rule, "displayName": "Owner"}}
    )
    assert running_cloud.stored("resources", made.id)["properties"]["policyRule"] == rule
    assert made.policy_type == "Custom"
    assert made.id in {one.id for one in policy.policy_definitions.list()}
    initiative = policy.policy_set_definitions.create_or_update(
        f"s-{group}", {"properties": {"policyDefinitions": [{"policyDefinitionId": made.id}]}}
    )
    assert initiative.policy_definitions[0].policy_definition_reference_id
    assigned = assign(policy, scope, "words", initiative.id, properties={"parameters": {}})
    with pytest.raises(HttpResponseError) as refused:
        policy.policy_set_definitions.delete(initiative.name)
    assert assigned.id in str(refused.value)
    assert policy.policy_assignments.delete(scope, "words").id == assigned.id
    policy.policy_set_definitions.delete(initiative.name)
    policy.policy_definitions.delete(made.name)
    with pytest.raises(ResourceNotFoundError) as missing:
        policy.policy_definitions.get(made.name)
    assert missing.value.error.code == "PolicyDefinitionNotFound"


def test_assignment_is_created_updated_listed_and_deleted(running_cloud, policy, scope, subscription, group):
    made = assign(policy, scope, "base", f"{BUILTIN}/{BASELINE}", properties={"displayName": "Baseline"})
    assert running_cloud.stored("resources", made.id)["properties"]["displayName"] == "Baseline"
    assert made.scope == scope
    assert made.enforcement_mode == "Default"
    assert policy.policy_assignments.get_by_id(made.id).id == made.id
    assert [one.name for one in policy.policy_assignments.list_for_resource_group(group)] == ["base"]
    assert made.id in {one.id for one in policy.policy_assignments.list()}
    changed = policy.policy_assignments.update(
        scope, "base", {"identity": {"type": "SystemAssigned"}, "location": "westeurope"}
    )
    assert changed.identity.principal_id
    assert running_cloud.stored("principals", changed.identity.principal_id) is not None
    assert policy.policy_assignments.delete_by_id(made.id).id == made.id
    assert policy.policy_assignments.delete(scope, "base") is None
    assert running_cloud.stored("principals", changed.identity.principal_id) is None
    with pytest.raises(ResourceNotFoundError) as missing:
        policy.policy_assignments.get(scope, "base")
    assert missing.value.error.code == "PolicyAssignmentNotFound"


def test_management_group_is_refused_clearly(policy):
    with pytest.raises(HttpResponseError) as refused:
        policy.policy_definitions.get_at_management_group("root", BASELINE)
    assert refused.value.status_code in {403, 404}
    assert "root" in str(refused.value)


def test_policy_makes_a_guest_assignment_and_a_state(
    running_cloud, policy, insights, subscription, group, scope, machine, scan
):
    made = assign(policy, scope, "base", f"{BUILTIN}/{BASELINE}")
    scan()
    key = f"{machine}/providers/{GUESTS}/azurelinuxbaseline"
    assert running_cloud.stored("resources", key)["properties"]["complianceStatus"] == "Pending"
    (state,) = insights.policy_states.list_query_results_for_resource("latest", machine)
    assert state.compliance_state == "NonCompliant"
    assert state.policy_assignment_id == made.id
    assert [
        one.resource_id
        for one in insights.policy_states.list_query_results_for_resource_group("latest", subscription, group)
    ] == [machine]
    assert (
        len(
            list(
                insights.policy_states.list_query_results_for_resource_group_level_policy_assignment(
                    "latest", subscription, group, "base"
                )
            )
        )
        == 1
    )
    summary = insights.policy_states.summarize_for_resource_group("latest", subscription, group).value[0]
    assert summary.results.non_compliant_resources == 1
    assert summary.policy_assignments[0].policy_definitions[0].effect == "auditifnotexists"
    listed = insights.policy_states.list_query_results_for_subscription("latest", subscription)
    assert machine in {one.resource_id for one in listed}


def test_remediation_deploys_and_lists_what_it_has_deployed(
    running_cloud, policy, insights, authorization, subscription, group, scope, machine, scan, advance
):
    made = assign(
        policy,
        scope,
        "ssh",
        f"{BUILTIN}/{SSH_DEPLOY}",
        identity={"type": "SystemAssigned"},
        location="westeurope",
    )
    authorization.role_assignments.create(
        scope,
        made.identity.principal_id,
        {
            "role_definition_id": f"/subscriptions/{subscription}/providers/Microsoft.Authorization"
            f"/roleDefinitions/{CONTRIBUTOR}",
            "principal_id": made.identity.principal_id,
        },
    )
    scan()
    key = f"{machine}/providers/{GUESTS}/setlinuxsshserversecuritybaseline"
    kept = running_cloud.stored("resources", key)["properties"]["guestConfiguration"]
    assert kept["assignmentType"] == "Audit"
    started = insights.remediations.create_or_update_at_resource_group(
        group, "r1", {"properties": {"policyAssignmentId": made.id}}
    )
    assert started.provisioning_state == "Accepted"
    advance(5)
    ended = insights.remediations.get_at_resource_group(group, "r1")
    assert ended.provisioning_state == "Succeeded"
    assert ended.deployment_status.successful_deployments == 1
    (deployed,) = insights.remediations.list_deployments_at_resource_group(group, "r1")
    assert deployed.remediated_resource_id == machine
    kept = running_cloud.stored("resources", key)["properties"]["guestConfiguration"]
    assert kept["assignmentType"] == "ApplyAndAutoCorrect"
    assert [one.name for one in insights.remediations.list_for_resource_group(group)] == ["r1"]
    second = insights.remediations.create_or_update_at_resource(
        machine, "r2", {"properties": {"policyAssignmentId": made.id}}
    )
    assert second.provisioning_state == "Accepted"
    assert insights.remediations.cancel_at_resource(machine, "r2").provisioning_state == "Canceled"
    assert insights.remediations.delete_at_resource(machine, "r2").name == "r2"
    assert insights.remediations.delete_at_resource_group(group, "r1").name == "r1"
    with pytest.raises(ResourceNotFoundError):
        insights.remediations.get_at_resource_group(group, "r1")
