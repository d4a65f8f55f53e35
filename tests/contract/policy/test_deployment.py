"""deployIfNotExists: what is deployed by itself, what by a remediation, and who may."""

from __future__ import annotations

from datetime import timedelta

import pytest

INSIGHTS = "providers/Microsoft.PolicyInsights"
POLICY = "providers/Microsoft.Authorization"
NAME = "SetLinuxSshServerSecurityBaseline"
FIVE, QUARTER, SOON = timedelta(minutes=5), timedelta(minutes=15), timedelta(seconds=5)


async def remediate(bed, assignment, name="r1", **properties):
    path = f"{bed.group}/{INSIGHTS}/remediations/{name}"
    return await bed.arm("PUT", path, {"properties": {"policyAssignmentId": assignment["id"], **properties}})


async def remediation(bed, name="r1"):
    return (await bed.ok("GET", f"{bed.group}/{INSIGHTS}/remediations/{name}"))["properties"]


async def deployments(bed, name="r1"):
    path = f"{bed.group}/{INSIGHTS}/remediations/{name}/listDeployments"
    return (await bed.ok("POST", path))["value"]


async def kind(bed, machine="web-01"):
    return (await bed.guest(NAME, machine))["guestConfiguration"]["assignmentType"]


async def test_assignment_that_deploys_needs_an_identity_and_a_region(bed):
    body = {
        "properties": {
            "policyDefinitionId": "/providers/Microsoft.Authorization/policyDefinitions/"
            "e22a2f03-0534-4d10-8ea0-aa25a6113233"
        }
    }
    path = f"{bed.group}/{POLICY}/policyAssignments/p1"
    refused = await bed.arm("PUT", path, body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "ResourceIdentityRequired")
    refused = await bed.arm("PUT", path, {**body, "identity": {"type": "SystemAssigned"}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "LocationRequired")
    assert (await bed.arm("GET", path)).status_code == 404


async def test_machine_that_is_there_already_is_audited_only(bed):
    await bed.assign_deploying()
    await bed.clock.advance(FIVE)
    assert await kind(bed) == "Audit"
    await bed.report(NAME, "NonCompliant")
    await bed.clock.advance(days=2)
    assert await kind(bed) == "Audit"
    assert await bed.state() == "NonCompliant"


async def test_new_machine_is_audited_first_and_deployed_to_after_that(bed):
    await bed.assign_deploying()
    await bed.clock.advance(FIVE)
    await bed.add_machine("web-02")
    await bed.clock.advance(QUARTER)
    assert await kind(bed, "web-02") == "Audit"
    await bed.report(NAME, "NonCompliant", "web-02")
    assert await kind(bed, "web-02") == "ApplyAndAutoCorrect"
    assert (await bed.guest(NAME, "web-02"))["complianceStatus"] == "Pending"
    await bed.report(NAME, "Compliant", "web-02")
    assert await bed.state("web-02") == "Compliant"


async def test_new_machine_that_complies_is_left_at_its_audit(bed):
    await bed.assign_deploying()
    await bed.clock.advance(FIVE)
    await bed.add_machine("web-02")
    await bed.clock.advance(QUARTER)
    await bed.report(NAME, "Compliant", "web-02")
    await bed.report(NAME, "NonCompliant", "web-02")
    assert await kind(bed, "web-02") == "Audit"


async def test_changed_tag_makes_an_enforced_policy_deploy(bed):
    await bed.assign_deploying()
    await bed.clock.advance(FIVE)
    await bed.report(NAME, "NonCompliant")
    await bed.ok("PATCH", bed.machine(), {"tags": {"env": "prod"}})
    await bed.clock.advance(QUARTER)
    assert await kind(bed) == "ApplyAndAutoCorrect"


async def test_policy_that_is_not_enforced_deploys_by_remediation_only(bed):
    made = await bed.assign_deploying(enforcementMode="DoNotEnforce")
    await bed.clock.advance(FIVE)
    await bed.report(NAME, "NonCompliant")
    await bed.ok("PATCH", bed.machine(), {"tags": {"env": "prod"}})
    await bed.clock.advance(QUARTER)
    assert await kind(bed) == "Audit"
    assert (await remediate(bed, made)).status_code == 201
    await bed.clock.advance(SOON)
    assert await kind(bed) == "ApplyAndAutoCorrect"


@pytest.mark.clause("policy.remediation")
async def test_remediation_puts_the_guest_assignment_again(bed):
    made = await bed.assign_deploying()
    await bed.clock.advance(FIVE)
    await bed.report(NAME, "NonCompliant")
    before = bed.cloud.assignments.get(bed.machine(), NAME).document["agent"]["itemGeneration"]
    answer = await remediate(bed, made)
    assert answer.status_code == 201
    assert answer.json()["properties"]["provisioningState"] == "Accepted"
    await bed.clock.advance(SOON)
    ended = await remediation(bed)
    assert ended["provisioningState"] == "Succeeded"
    assert ended["deploymentStatus"] == {
        "totalDeployments": 1,
        "successfulDeployments": 1,
        "failedDeployments": 0,
    }
    (deployed,) = await deployments(bed)
    assert deployed["remediatedResourceId"] == bed.machine()
    assert deployed["status"] == "Succeeded"
    after = bed.cloud.assignments.get(bed.machine(), NAME).document["agent"]["itemGeneration"]
    assert after == before + 1
    assert await bed.state() == "NonCompliant"
    await bed.report(NAME, "Compliant")
    assert await bed.state() == "Compliant"


async def test_remediation_brings_back_what_the_end_of_the_fourteen_days_took(bed):
    made = await bed.assign_deploying()
    await bed.clock.advance(FIVE)
    async with bed.cloud.plane.store.unit() as unit:
        bed.cloud.assignments.remove(unit, bed.machine(), NAME)
    await bed.clock.advance(days=2)
    assert await bed.guest(NAME) is None
    assert await bed.state() == "NonCompliant"
    await remediate(bed, made)
    await bed.clock.advance(SOON)
    assert await kind(bed) == "ApplyAndAutoCorrect"


@pytest.mark.clause("policy.remediation")
async def test_deployment_fails_while_the_identity_has_no_role(bed):
    made = await bed.assign_deploying(trusted=False)
    await bed.clock.advance(FIVE)
    await remediate(bed, made)
    await bed.clock.advance(SOON)
    assert (await remediation(bed))["provisioningState"] == "Failed"
    (failed,) = await deployments(bed)
    assert failed["status"] == "Failed"
    assert failed["error"]["code"] == "AuthorizationFailed"
    assert made["identity"]["principalId"] in failed["error"]["message"]
    await bed.trust(made)
    assert (await remediate(bed, made)).status_code == 200
    await bed.clock.advance(SOON)
    assert (await remediation(bed))["provisioningState"] == "Succeeded"


async def test_remediation_skips_what_complies_and_other_regions(bed):
    await bed.add_machine("web-02")
    made = await bed.assign_deploying()
    await bed.clock.advance(FIVE)
    await bed.report(NAME, "Compliant", "web-02")
    await remediate(bed, made)
    await remediate(bed, made, "elsewhere", filters={"locations": ["eastus"]})
    await bed.clock.advance(SOON)
    assert [one["remediatedResourceId"] for one in await deployments(bed)] == [bed.machine()]
    assert await deployments(bed, "elsewhere") == []


async def test_cancelled_remediation_deploys_nothing_and_can_be_deleted_then(bed):
    made = await bed.assign_deploying()
    await bed.clock.advance(FIVE)
    await remediate(bed, made)
    path = f"{bed.group}/{INSIGHTS}/remediations/r1"
    assert (await bed.arm("DELETE", path)).status_code == 400
    cancelled = await bed.ok("POST", f"{path}/cancel")
    assert cancelled["properties"]["provisioningState"] == "Canceled"
    await bed.clock.advance(minutes=1)
    assert await kind(bed) == "Audit"
    assert (await bed.arm("POST", f"{path}/cancel")).status_code == 400
    assert (await bed.arm("DELETE", path)).status_code == 200
    assert (await bed.arm("DELETE", path)).status_code == 204


async def test_remediation_of_an_audit_definition_or_a_missing_assignment_is_refused(bed):
    made = await bed.assign()
    refused = await remediate(bed, made)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "InvalidCreateRemediationRequest")
    refused = await remediate(bed, {"id": made["id"] + "x"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "PolicyAssignmentNotFound")


async def test_remediation_survives_a_restart_between_its_put_and_its_start(bed):
    made = await bed.assign_deploying()
    await bed.clock.advance(FIVE)
    await remediate(bed, made)
    await bed.restart()
    await bed.clock.advance(SOON)
    assert (await remediation(bed))["provisioningState"] == "Succeeded"


async def test_identity_goes_with_its_assignment_and_with_its_group(bed):
    made = await bed.assign_deploying()
    principal = made["identity"]["principalId"]
    assert bed.cloud.directory.principal(principal).name == "p1"
    again = await bed.assign_deploying(trusted=False)
    assert again["identity"] == made["identity"]
    await bed.ok("DELETE", made["id"])
    assert bed.cloud.directory.principal(principal) is None
    principal = (await bed.assign_deploying())["identity"]["principalId"]
    await bed.ok("DELETE", bed.group)
    await bed.clock.advance(minutes=1)
    assert bed.cloud.directory.principal(principal) is None


async def test_template_that_deploys_something_else_fails_clearly(bed):
    path = f"{bed.subscription}/{POLICY}/policyDefinitions/vault"
    rule = {
        "if": {"field": "type", "equals": "Microsoft.HybridCompute/machines"},
        "then": {
            "effect": "deployIfNotExists",
            "details": {
                "type": "Microsoft.GuestConfiguration/guestConfigurationAssignments",
                "name": "vault",
                "roleDefinitionIds": ["/providers/microsoft.authorization/roleDefinitions/x"],
                "deployment": {
                    "properties": {
                        "template": {
                            "resources": [
                                {"type": "Microsoft.KeyVault/vaults", "name": "v", "properties": {}}
                            ]
                        }
                    }
                },
            },
        },
    }
    made = await bed.ok("PUT", path, {"properties": {"policyRule": rule, "mode": "Indexed"}})
    assigned = await bed.assign(
        "p1", made["id"], identity={"type": "SystemAssigned"}, location="westeurope", parameters={}
    )
    await bed.trust(assigned)
    await bed.clock.advance(FIVE)
    await remediate(bed, assigned)
    await bed.clock.advance(SOON)
    (failed,) = await deployments(bed)
    assert failed["error"]["code"] == "InvalidTemplateDeployment"
    assert "Microsoft.KeyVault/vaults" in failed["error"]["message"]
    assert await bed.guest("vault") is None
