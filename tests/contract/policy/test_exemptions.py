"""Exemptions: what they cover is Exempt, and the machine goes on being audited."""

from __future__ import annotations

from datetime import timedelta

import pytest

AUDITED = "AzureLinuxBaseline"
PASSWORDS = "/providers/Microsoft.Authorization/policySetDefinitions/095e4ed9-c835-4ab6-9439-b5644362a06c"
POLICY = "providers/Microsoft.Authorization"
FIVE = timedelta(minutes=5)


async def exempt(bed, assignment, scope=None, **more):
    path = f"{scope or bed.machine()}/{POLICY}/policyExemptions/e1"
    properties = {"policyAssignmentId": assignment["id"], "exemptionCategory": "Waiver", **more}
    return await bed.arm("PUT", path, {"properties": properties})


@pytest.mark.clause("policy.exemption")
async def test_exempted_machine_is_exempt_at_once_and_its_guest_assignment_stays(bed):
    await bed.add_machine("web-02")
    made = await bed.assign()
    await bed.clock.advance(FIVE)
    assert (await exempt(bed, made)).status_code == 201
    assert (await exempt(bed, made)).status_code == 200
    await bed.settle()
    assert await bed.state() == "Exempt"
    assert await bed.state("web-02") == "NonCompliant"
    assert (await bed.guest(AUDITED))["complianceStatus"] == "Pending"
    await bed.report(AUDITED, "Compliant")
    assert await bed.state() == "Exempt"
    path = f"{bed.machine()}/{POLICY}/policyExemptions/e1"
    assert (await bed.arm("DELETE", path)).status_code == 200
    assert (await bed.arm("DELETE", path)).status_code == 204
    await bed.settle()
    assert await bed.state() == "Compliant"


async def test_exemption_ends_when_it_expires_also_after_a_restart(bed):
    made = await bed.assign()
    await bed.clock.advance(FIVE)
    until = bed.clock.now() + timedelta(hours=2)
    await exempt(bed, made, expiresOn=until.isoformat())
    await bed.restart(later=timedelta(hours=1))
    await bed.settle()
    assert await bed.state() == "Exempt"
    await bed.clock.advance(hours=1)
    assert await bed.state() == "NonCompliant"


async def test_exemption_of_one_member_leaves_the_rest_of_an_initiative(bed):
    made = await bed.assign("words", PASSWORDS)
    await bed.clock.advance(FIVE)
    await exempt(bed, made, bed.group, policyDefinitionReferenceIds=["AINE_PasswordPolicy_msid110"])
    await bed.settle()
    found = {one["policyDefinitionReferenceId"]: one["complianceState"] for one in await bed.states()}
    assert found == {
        "AINE_PasswordPolicy_msid110": "Exempt",
        "AINE_PasswordPolicy_msid121": "NonCompliant",
        "AINE_PasswordPolicy_msid232": "NonCompliant",
    }
    listed = await bed.ok("GET", f"{bed.subscription}/{POLICY}/policyExemptions")
    assert [one["name"] for one in listed["value"]] == ["e1"]
    query = {"$filter": "atExactScope()"}
    listed = await bed.ok("GET", f"{bed.subscription}/{POLICY}/policyExemptions", **query)
    assert listed["value"] == []


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"exemptionCategory": "Whim"}, 400),
        ({"expiresOn": "tomorrow"}, 400),
        ({"policyDefinitionReferenceIds": ["none"]}, 400),
        ({"policyAssignmentId": "/subscriptions/x"}, 404),
        ({"resourceSelectors": [{"name": "x"}]}, 400),
        ({"displayName": 5}, 400),
    ],
)
async def test_exemption_that_cannot_be_applied_is_refused(bed, more, status):
    made = await bed.assign()
    refused = await exempt(bed, made, **more)
    assert refused.status_code == status, refused.text
    path = f"{bed.machine()}/{POLICY}/policyExemptions/e1"
    assert (await bed.arm("GET", path)).json()["error"]["code"] == "PolicyExemptionNotFound"


async def test_exemption_above_the_scope_of_its_assignment_is_refused(bed):
    made = await bed.assign()
    assert (await exempt(bed, made, bed.subscription)).status_code == 400
