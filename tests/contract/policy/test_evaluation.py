"""From an assigned policy to a guest assignment and its state, on a clock that the test moves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from arcbed_cloud.providers.policy.functions import unique_string

AUDITED = "AzureLinuxBaseline"
FIVE, QUARTER = timedelta(minutes=5), timedelta(minutes=15)
SECOND = timedelta(seconds=1)


@pytest.mark.clause("policy.audit-assignment")
async def test_assigned_audit_policy_makes_an_audit_assignment_after_five_minutes(bed):
    await bed.assign()
    await bed.clock.advance(FIVE - SECOND)
    assert await bed.guest(AUDITED) is None
    assert await bed.states() == []
    await bed.clock.advance(SECOND)
    guest = await bed.guest(AUDITED)
    assert guest["guestConfiguration"]["assignmentType"] == "Audit"
    assert guest["complianceStatus"] == "Pending"
    assert guest["context"] == "Azure policy"
    assert await bed.state() == "NonCompliant"


@pytest.mark.clause("policy.report-is-state")
async def test_report_of_a_machine_moves_the_state_at_once(bed):
    await bed.assign()
    await bed.clock.advance(FIVE)
    await bed.report(AUDITED, "Compliant")
    assert await bed.state() == "Compliant"
    await bed.report(AUDITED, "NonCompliant")
    assert await bed.state() == "NonCompliant"


@pytest.mark.clause("policy.arc-parameter")
async def test_arc_machines_are_left_out_unless_the_parameter_includes_them(bed):
    await bed.assign(parameters={})
    await bed.clock.advance(FIVE)
    assert await bed.guest(AUDITED) is None
    assert await bed.states() == []


async def test_windows_policy_does_not_apply_to_a_linux_machine(bed):
    await bed.add_machine("win-02", "windows")
    time_zone = "/providers/Microsoft.Authorization/policyDefinitions/c633f6a2-7f8b-4d9e-9456-02f0f04f5505"
    values = {"IncludeArcMachines": {"value": "true"}, "TimeZone": {"value": "(UTC-10:00) Hawaii"}}
    made = await bed.assign("p1", time_zone, parameters=values)
    await bed.clock.advance(FIVE)
    assert await bed.state("web-01") is None
    assert await bed.state("win-02") == "NonCompliant"
    name = f"WindowsTimeZone$pid{unique_string(made['id'], '')}"
    guest = await bed.guest(name, "win-02")
    assert guest["parameterHash"] == (
        "W1dpbmRvd3NUaW1lWm9uZV1XaW5kb3dzVGltZVpvbmUxO1RpbWVab25lPShVVEMtMTA6MDApIEhhd2FpaQ=="
    )
    await bed.report(name, "Compliant", "win-02")
    assert await bed.state("win-02") == "Compliant"


async def test_compliant_assignment_with_other_parameters_is_not_compliant(bed):
    await bed.assign()
    await bed.clock.advance(FIVE)
    wanted = {"name": AUDITED, "configurationParameter": [{"name": "a;b", "value": "c"}]}
    path = f"{bed.machine()}/providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/{AUDITED}"
    await bed.ok("PUT", path, {"location": "westeurope", "properties": {"guestConfiguration": wanted}})
    await bed.report(AUDITED, "Compliant")
    assert await bed.state() == "NonCompliant"


async def test_machine_made_after_the_assignment_is_evaluated_after_fifteen_minutes(bed):
    await bed.assign()
    await bed.clock.advance(FIVE)
    await bed.add_machine("web-02")
    await bed.clock.advance(QUARTER - SECOND)
    assert await bed.guest(AUDITED, "web-02") is None
    await bed.clock.advance(SECOND)
    assert (await bed.guest(AUDITED, "web-02"))["complianceStatus"] == "Pending"


async def test_changed_parameters_reach_the_audit_assignment_after_the_policy_is_assigned_again(bed):
    await bed.assign()
    await bed.clock.advance(FIVE)
    before = await bed.guest(AUDITED)
    values = {"IncludeArcMachines": {"value": "true"}, "BaselineSettings": {"value": "{}"}}
    await bed.assign(parameters=values)
    await bed.clock.advance(FIVE)
    assert (await bed.guest(AUDITED))["parameterHash"] != before["parameterHash"]
    await bed.report(AUDITED, "Compliant")
    assert await bed.state() == "Compliant"


async def test_excluded_scope_and_another_group_are_left_alone(bed):
    await bed.assign(scope=bed.subscription, notScopes=[bed.machine()])
    await bed.add_machine("web-02")
    await bed.clock.advance(FIVE)
    assert [state["resourceId"] for state in await bed.states()] == [bed.machine("web-02")]


@pytest.mark.clause("policy.deletion")
async def test_deleted_policy_assignment_takes_its_guest_assignment_and_states_along(bed):
    made = await bed.assign()
    await bed.clock.advance(FIVE)
    await bed.ok("DELETE", made["id"])
    assert await bed.guest(AUDITED) is None
    assert await bed.states() == []


async def test_guest_assignment_that_somebody_else_made_outlives_the_policy(bed):
    path = f"{bed.machine()}/providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/{AUDITED}"
    body = {"location": "westeurope", "properties": {"guestConfiguration": {"name": AUDITED}}}
    await bed.ok("PUT", path, body)
    made = await bed.assign()
    await bed.clock.advance(FIVE)
    await bed.ok("DELETE", made["id"])
    assert await bed.guest(AUDITED) is not None


async def test_deleted_machine_has_no_states(bed):
    await bed.assign()
    await bed.clock.advance(FIVE)
    await bed.ok("DELETE", bed.machine())
    assert await bed.states() == []


async def test_initiative_has_one_state_for_each_member_that_applies(bed):
    await bed.assign(
        "p1", "/providers/Microsoft.Authorization/policySetDefinitions/095e4ed9-c835-4ab6-9439-b5644362a06c"
    )
    await bed.clock.advance(FIVE)
    found = {state["policyDefinitionReferenceId"] for state in await bed.states(bed.machine())}
    assert found == {f"AINE_PasswordPolicy_msid{number}" for number in (110, 121, 232)}
    assert (await bed.guest("PasswordPolicy_msid110"))["complianceStatus"] == "Pending"


@pytest.mark.clause("policy.untouched-by-retention")
async def test_dropped_guest_assignment_is_not_compliant_and_not_made_again(bed):
    """What the end of the 14 days does: ARM keeps the assignment as Pending."""
    made = await bed.assign()
    await bed.clock.advance(FIVE)
    await bed.report(AUDITED, "Compliant")
    row = bed.cloud.assignments.get(bed.machine(), AUDITED)
    properties = {**row.document["properties"], "complianceStatus": "Pending"}
    agent = {**row.document["agent"], "dropped": "2026-03-01T00:00:00Z"}
    async with bed.cloud.plane.store.unit() as unit:
        bed.cloud.assignments.keep(unit, {**row.document, "properties": properties, "agent": agent})
    await bed.clock.advance(days=3)
    assert await bed.state() == "NonCompliant"
    assert bed.cloud.assignments.get(bed.machine(), AUDITED).document["agent"]["dropped"] is not None
    assert (await bed.ok("GET", made["id"]))["properties"] == made["properties"]


async def test_removed_guest_assignment_comes_back_with_a_new_put_of_the_policy_only(bed):
    """What the end of the 14 days does where the bed deletes expired assignments."""
    await bed.assign()
    await bed.clock.advance(FIVE)
    async with bed.cloud.plane.store.unit() as unit:
        bed.cloud.assignments.remove(unit, bed.machine(), AUDITED)
    await bed.clock.advance(days=3)
    assert await bed.guest(AUDITED) is None
    assert await bed.state() == "NonCompliant"
    await bed.assign()
    await bed.clock.advance(FIVE)
    assert (await bed.guest(AUDITED))["complianceStatus"] == "Pending"


async def test_daily_cycle_evaluates_again(bed):
    await bed.assign()
    await bed.clock.advance(FIVE)
    first = (await bed.states())[0]["timestamp"]
    await bed.clock.advance(hours=24)
    assert (await bed.states())[0]["timestamp"][:10] != first[:10]


async def test_unclear_rule_is_an_error_state_and_stops_nothing_else(bed):
    rule = {
        "if": {
            "allOf": [
                {"field": "type", "equals": "Microsoft.HybridCompute/machines"},
                {"value": "[split(field('location'), '')]", "equals": "x"},
            ]
        },
        "then": {"effect": "audit"},
    }
    path = f"{bed.subscription}/providers/Microsoft.Authorization/policyDefinitions/odd"
    odd = await bed.ok("PUT", path, {"properties": {"policyRule": rule, "mode": "Indexed"}})
    await bed.assign("odd", odd["id"], parameters={})
    await bed.assign()
    await bed.clock.advance(FIVE)
    found = {state["policyAssignmentName"]: state["complianceState"] for state in await bed.states()}
    assert found == {"odd": "Error", "p1": "NonCompliant"}


@pytest.mark.parametrize(("tag", "state"), [({"env": "prod"}, "Compliant"), ({}, "NonCompliant")])
async def test_plain_audit_definition_looks_at_the_machine_itself(bed, tag, state):
    rule = {
        "if": {
            "allOf": [
                {"field": "type", "equals": "Microsoft.HybridCompute/machines"},
                {"field": "tags['env']", "exists": "false"},
            ]
        },
        "then": {"effect": "audit"},
    }
    path = f"{bed.subscription}/providers/Microsoft.Authorization/policyDefinitions/tagged"
    made = await bed.ok("PUT", path, {"properties": {"policyRule": rule, "mode": "Indexed"}})
    await bed.ok("PATCH", bed.machine(), {"tags": tag})
    await bed.assign("p1", made["id"], parameters={})
    await bed.clock.advance(FIVE)
    assert await bed.state() == state
