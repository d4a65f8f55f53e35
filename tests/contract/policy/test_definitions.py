"""What of definitions, initiatives and assignments is taken, and how the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest

POLICY = "providers/Microsoft.Authorization"
INSIGHTS = "providers/Microsoft.PolicyInsights"
BASELINE = "/providers/Microsoft.Authorization/policyDefinitions/fc9b3da7-8347-4380-8e70-0a0361d8dedd"
TIME_ZONE = "/providers/Microsoft.Authorization/policyDefinitions/c633f6a2-7f8b-4d9e-9456-02f0f04f5505"
MACHINES = {"field": "type", "equals": "Microsoft.HybridCompute/machines"}


def rule(condition: Any = MACHINES, **then: Any) -> dict[str, Any]:
    return {"if": condition, "then": {"effect": "audit", **then}}


async def define(bed, properties: Any, name: str = "d1"):
    path = f"{bed.subscription}/{POLICY}/policyDefinitions/{name}"
    return await bed.arm("PUT", path, {"properties": properties})


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


@pytest.mark.parametrize(
    "bad",
    [
        None,
        {},
        {"if": MACHINES},
        rule({}),
        rule({"allOf": []}),
        rule({"allOf": [MACHINES], "anyOf": [MACHINES]}),
        rule({"field": "type"}),
        rule({"field": "type", "equals": "x", "like": "y"}),
        rule({"field": "type", "resembles": "x"}),
        rule({"count": {"field": "tags"}, "equals": 1}),
        rule({"value": "[utcNow()]", "equals": "x"}),
        rule({"value": "[concat('a'", "equals": "x"}) | {"then": {"effect": "[nonsense("}},
        rule({"value": "[concat('a',]", "equals": "x"}),
        rule({"value": "[parameters('missing')]", "equals": "x"}),
        rule(effect="modify"),
        rule(effect="paint"),
        rule(effect="auditIfNotExists"),
        rule(effect="deployIfNotExists", details={"type": "x/y"}),
        rule(
            effect="deployIfNotExists", details={"type": "x/y", "roleDefinitionIds": ["r"], "deployment": {}}
        ),
    ],
)
async def test_rule_that_cannot_be_evaluated_is_refused_when_it_is_defined(bed, bad):
    answer = await define(bed, {"policyRule": bad})
    assert code(answer) == (400, "InvalidPolicyRule")
    assert (await bed.arm("GET", f"{bed.subscription}/{POLICY}/policyDefinitions/d1")).status_code == 404


@pytest.mark.parametrize(
    "bad",
    [
        {"parameters": []},
        {"parameters": {"p": {"type": "colour"}}},
        {"parameters": {"p": {"type": "array", "defaultValue": "x"}}},
        {"metadata": "x"},
        {"displayName": 5},
    ],
)
async def test_definition_with_a_member_of_a_wrong_shape_is_refused(bed, bad):
    answer = await define(bed, {"policyRule": rule(), **bad})
    assert code(answer) == (400, "InvalidRequestContent")


async def test_body_that_is_nested_too_deeply_is_refused(bed):
    deep: Any = {}
    for _ in range(200):
        deep = {"a": [deep]}
    answer = await define(bed, {"policyRule": rule(), "metadata": deep})
    assert code(answer) == (400, "InvalidRequestContent")
    properties = {"policyDefinitionId": BASELINE, "metadata": deep}
    path = f"{bed.group}/{POLICY}/policyAssignments/p1"
    assert code(await bed.arm("PUT", path, {"properties": properties})) == (400, "InvalidRequestContent")


async def test_definition_keeps_what_it_was_given_and_who_made_it(bed):
    made = (
        await define(bed, {"policyRule": rule(), "mode": "Indexed", "metadata": {"category": "Own"}})
    ).json()
    again = (await define(bed, {"policyRule": rule(), "mode": "All"})).json()
    assert made["properties"]["metadata"]["createdBy"] == bed.cloud.estate.owner.objectId
    assert made["properties"]["metadata"]["updatedOn"] is None
    assert again["properties"]["metadata"]["createdOn"] == made["properties"]["metadata"]["createdOn"]
    assert again["properties"]["metadata"]["updatedOn"] is not None
    path = f"{bed.subscription}/{POLICY}/policyDefinitions"
    listed = await bed.ok("GET", path, **{"$filter": "policyType eq 'Custom'"})
    assert [one["name"] for one in listed["value"]] == ["d1"]
    listed = await bed.ok("GET", path, **{"$filter": "category eq 'guest configuration'", "$top": "5"})
    assert len(listed["value"]) == 5
    assert "nextLink" in listed


async def test_definition_in_use_cannot_be_deleted(bed):
    made = (await define(bed, {"policyRule": rule()})).json()
    assigned = await bed.assign("p1", made["id"], parameters={})
    refused = await bed.arm("DELETE", made["id"])
    assert code(refused) == (400, "InvalidDeletePolicyDefinitionRequest")
    await bed.ok("DELETE", assigned["id"])
    assert (await bed.arm("DELETE", made["id"])).status_code == 200
    assert (await bed.arm("DELETE", made["id"])).status_code == 204


async def test_builtin_definition_is_read_only_and_at_no_other_address(bed):
    assert (await bed.arm("PUT", BASELINE, {"properties": {"policyRule": rule()}})).status_code in {400, 403}
    assert (await bed.arm("GET", f"{bed.subscription}{BASELINE}")).status_code == 404
    assert (await bed.arm("GET", BASELINE)).status_code == 200


async def test_initiative_checks_its_members(bed):
    path = f"{bed.subscription}/{POLICY}/policySetDefinitions/s1"

    async def put(*members: Any):
        return await bed.arm("PUT", path, {"properties": {"policyDefinitions": list(members)}})

    assert code(await put()) == (400, "InvalidRequestContent")
    missing = f"{bed.subscription}/{POLICY}/policyDefinitions/none"
    assert code(await put({"policyDefinitionId": missing})) == (404, "PolicyDefinitionNotFound")
    assert code(await put({"policyDefinitionId": TIME_ZONE})) == (400, "MissingPolicyParameter")
    twice = {"policyDefinitionId": BASELINE, "policyDefinitionReferenceId": "a"}
    assert code(await put(twice, twice)) == (400, "InvalidPolicyDefinition")
    made = await put({"policyDefinitionId": BASELINE})
    assert made.status_code == 201
    assert (await put({"policyDefinitionId": BASELINE})).status_code == 200
    assert made.json()["properties"]["policyDefinitions"][0]["policyDefinitionReferenceId"]


@pytest.mark.parametrize(
    ("changed", "status", "wanted"),
    [
        ({"policyDefinitionId": None}, 400, "InvalidRequestContent"),
        ({"policyDefinitionId": BASELINE[:-1]}, 404, "PolicyDefinitionNotFound"),
        (
            {"policyDefinitionId": "/providers/Microsoft.Authorization/policySetDefinitions/none"},
            404,
            "PolicySetDefinitionNotFound",
        ),
        ({"policyDefinitionId": TIME_ZONE}, 400, "MissingPolicyParameter"),
        ({"parameters": {"nonsense": {"value": "x"}}}, 400, "UndefinedPolicyParameter"),
        ({"parameters": {"IncludeArcMachines": {"value": True}}}, 400, "InvalidPolicyParameterType"),
        ({"parameters": {"IncludeArcMachines": {"value": "yes"}}}, 400, "PolicyParameterValueNotAllowed"),
        ({"parameters": {"IncludeArcMachines": "true"}}, 400, "InvalidRequestContent"),
        ({"enforcementMode": "Sometimes"}, 400, "InvalidRequestContent"),
        ({"notScopes": ["/subscriptions/x"]}, 400, "InvalidCreatePolicyAssignmentRequest"),
        ({"overrides": [{"kind": "policyEffect"}]}, 400, "InvalidCreatePolicyAssignmentRequest"),
        ({"nonComplianceMessages": ["x"]}, 400, "InvalidRequestContent"),
    ],
)
async def test_assignment_that_cannot_be_applied_is_refused(bed, changed, status, wanted):
    properties = {"policyDefinitionId": BASELINE, "parameters": {}, **changed}
    path = f"{bed.group}/{POLICY}/policyAssignments/p1"
    assert code(await bed.arm("PUT", path, {"properties": properties})) == (status, wanted)
    assert code(await bed.arm("GET", path)) == (404, "PolicyAssignmentNotFound")


async def test_user_assigned_identity_is_refused_by_name(bed):
    body = {
        "properties": {"policyDefinitionId": BASELINE},
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {}},
    }
    refused = await bed.arm("PUT", f"{bed.group}/{POLICY}/policyAssignments/p1", body)
    assert code(refused) == (400, "InvalidCreatePolicyAssignmentRequest")
    assert "UserAssigned" in refused.text


async def test_assignments_are_listed_with_those_above_and_below(bed):
    await bed.assign("low", scope=bed.machine())
    await bed.assign("middle")
    await bed.assign("high", scope=bed.subscription)
    listed = await bed.ok("GET", f"{bed.group}/{POLICY}/policyAssignments")
    assert sorted(one["name"] for one in listed["value"]) == ["high", "low", "middle"]
    listed = await bed.ok("GET", f"{bed.group}/{POLICY}/policyAssignments", **{"$filter": "atScope()"})
    assert sorted(one["name"] for one in listed["value"]) == ["high", "middle"]
    only = {"$filter": "atExactScope()"}
    listed = await bed.ok("GET", f"{bed.subscription}/{POLICY}/policyAssignments", **only)
    assert [one["name"] for one in listed["value"]] == ["high"]
    listed = await bed.ok(
        "GET",
        f"{bed.group}/{POLICY}/policyAssignments",
        **{"$filter": f"policyDefinitionId eq '{TIME_ZONE}'"},
    )
    assert listed["value"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "policyDefinitions/x"),
        ("PUT", "policyAssignments/x"),
        ("GET", "policySetDefinitions"),
    ],
)
async def test_management_group_is_refused_clearly(bed, method, path):
    refused = await bed.arm(
        method,
        f"/providers/Microsoft.Management/managementGroups/root/{POLICY}/{path}",
        {"properties": {}},
    )
    assert refused.status_code in {403, 404}
    assert "root" in refused.json()["error"]["message"]


async def test_states_of_a_management_group_are_refused_clearly(bed):
    path = f"/providers/Microsoft.Management/managementGroups/root/{INSIGHTS}/policyStates/latest/summarize"
    assert (await bed.arm("POST", path)).status_code in {403, 404}


async def test_contributor_may_not_assign_and_resource_policy_contributor_may(bed):
    roles = {"b24988ac-6180-42a0-ab88-20f7382dd24c": 403, "36243c78-bf99-498c-9df9-86d9f8d28608": 201}
    for role, status in roles.items():
        async with bed.cloud.plane.store.unit() as unit:
            principal = bed.cloud.directory.add_principal(unit, kind="ServicePrincipal", name=role)
        body = {
            "roleDefinitionId": f"{bed.subscription}/{POLICY}/roleDefinitions/{role}",
            "principalId": principal.object_id,
        }
        path = f"{bed.group}/{POLICY}/roleAssignments/{bed.cloud.plane.ids.guid()}"
        await bed.ok("PUT", path, {"properties": body})
        answer = await bed.arm(
            "PUT",
            f"{bed.group}/{POLICY}/policyAssignments/p1",
            {"properties": {"policyDefinitionId": BASELINE}},
            who=principal.object_id,
        )
        assert answer.status_code == status, answer.text


async def test_assignment_on_one_machine_reaches_that_machine_only(bed):
    await bed.add_machine("web-02")
    await bed.assign("p1", scope=bed.machine("web-02"))
    await bed.clock.advance(minutes=5)
    assert [state["resourceId"] for state in await bed.states()] == [bed.machine("web-02")]


async def test_changed_definition_is_evaluated_again(bed):
    made = (await define(bed, {"policyRule": rule()})).json()
    await bed.assign("p1", made["id"], parameters={})
    await bed.clock.advance(minutes=5)
    assert await bed.state() == "NonCompliant"
    await bed.clock.advance(minutes=1)
    both = {"allOf": [MACHINES, {"field": "name", "equals": "other"}]}
    assert (await define(bed, {"policyRule": rule(both)})).is_success
    await bed.clock.advance(minutes=5)
    assert await bed.state() is None


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("policyDefinitions", "2025-11-01"),
        ("policySetDefinitions", "2025-11-01"),
        ("policyAssignments", "2025-11-01"),
        ("policyExemptions", "2026-01-01-preview"),
    ],
)
async def test_versions_that_the_azure_cli_asks_for_are_served(bed, kind, version):
    listed = await bed.ok("GET", f"{bed.subscription}/{POLICY}/{kind}", **{"api-version": version})
    assert isinstance(listed["value"], list)
