"""Queries, summaries and evaluation on demand, as clients of Microsoft.PolicyInsights ask them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from arcbed_cloud.providers.policy import query
from arcbed_cloud.providers.policy.schedule import fingerprint

AUDITED = "AzureLinuxBaseline"
PASSWORDS = "/providers/Microsoft.Authorization/policySetDefinitions/095e4ed9-c835-4ab6-9439-b5644362a06c"
INSIGHTS = "providers/Microsoft.PolicyInsights"
POLICY = "providers/Microsoft.Authorization"
FIVE = timedelta(minutes=5)


@pytest.fixture
async def two(bed):
    """Two machines, a definition and an initiative: eight states, one of them Compliant."""
    await bed.add_machine("web-02")
    await bed.assign("base")
    await bed.assign("words", PASSWORDS)
    await bed.clock.advance(FIVE)
    await bed.report(AUDITED, "Compliant", "web-02")
    return bed


async def test_query_is_answered_at_every_scope(two):
    assert len(await two.states()) == 8
    assert len(await two.states(two.group)) == 8
    assert len(await two.states(two.machine("web-02"))) == 4
    assert len(await two.states(f"{two.group}/{POLICY}/policyAssignments/base")) == 2
    assert len(await two.states(f"{two.group}/{POLICY}/policyAssignments/none")) == 0
    definition = f"{two.subscription}/{POLICY}/policyDefinitions/fc9b3da7-8347-4380-8e70-0a0361d8dedd"
    assert len(await two.states(definition)) == 2
    initiative = f"{two.subscription}/{POLICY}/policySetDefinitions/{PASSWORDS.rsplit('/', 1)[-1]}"
    assert len(await two.states(initiative)) == 6


async def test_record_has_what_azure_shows(two):
    (record,) = await two.states(two.machine("web-02"), **{"$filter": "policyAssignmentName eq 'base'"})
    assert record["complianceState"] == "Compliant"
    assert record["isCompliant"] is True
    assert record["resourceId"] == two.machine("web-02")
    assert record["resourceType"] == "Microsoft.HybridCompute/machines"
    assert record["resourceLocation"] == "westeurope"
    assert record["policyDefinitionAction"] == "auditifnotexists"
    assert record["policyDefinitionCategory"] == "guest configuration"
    assert record["policyAssignmentScope"] == two.group
    assert record["@odata.context"].endswith("policyStates/$metadata#latest/$entity")
    assert '"IncludeArcMachines":{"value":"true"}' in record["effectiveParameters"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("complianceState eq 'NonCompliant'", 7),
        ("isCompliant eq false", 7),
        ("isCompliant eq true and policyDefinitionAction eq 'AuditIfNotExists'", 1),
        ("policySetDefinitionId ne ''", 6),
        ("timestamp gt 2000-01-01T00:00:00Z", 8),
        ("timestamp lt 2000-01-01T00:00:00Z", 0),
        ("resourceLocation eq 'westeurope' and (policyAssignmentName eq 'base')", 2),
    ],
)
async def test_filter_chooses_states(two, text, count):
    assert len(await two.states(**{"$filter": text})) == count


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("$filter", "nonsense eq 'x'"),
        ("$filter", "timestamp gt 'yesterday'"),
        ("$select", "nonsense"),
        ("$orderby", "timestamp sideways"),
        ("$from", "yesterday"),
        ("$top", "-1"),
        ("$apply", "groupby((complianceState), aggregate(x with sum as y))"),
    ],
)
async def test_option_that_cannot_be_used_is_refused(two, option, value):
    path = f"{two.subscription}/{INSIGHTS}/policyStates/latest/queryResults"
    refused = await two.arm("POST", path, **{option: value})
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["message"]


async def test_select_order_top_and_groups(two):
    shown = await two.states(
        **{"$select": "resourceId,complianceState", "$orderby": "resourceId desc", "$top": "3"}
    )
    assert [one["resourceId"] for one in shown] == [two.machine("web-02")] * 3
    assert "policyDefinitionId" not in shown[0]
    grouped = await two.states(**{"$apply": "groupby((complianceState), aggregate($count as NumStates))"})
    assert [(one["complianceState"], one["NumStates"]) for one in grouped] == [
        ("Compliant", 1),
        ("NonCompliant", 7),
    ]
    counted = await two.states(**{"$apply": "filter(isCompliant eq false)/aggregate($count as Bad)"})
    assert counted[0]["Bad"] == 7


async def test_history_is_shown_by_default_and_the_newest_by_latest(bed):
    await bed.assign()
    await bed.clock.advance(FIVE)
    for minutes, status in ((1, "Compliant"), (2, "NonCompliant")):
        await bed.clock.advance(minutes=minutes)
        await bed.report(AUDITED, status)
    path = f"{bed.machine()}/{INSIGHTS}/policyStates/default/queryResults"
    found = (await bed.ok("POST", path))["value"]
    assert [one["complianceState"] for one in found] == ["NonCompliant", "Compliant", "NonCompliant"]
    assert len(await bed.states(bed.machine())) == 1


async def test_details_name_the_guest_assignment_that_was_looked_for(two):
    (record,) = await two.states(
        two.machine("web-02"),
        **{"$filter": "policyAssignmentName eq 'base'", "$expand": "PolicyEvaluationDetails"},
    )
    details = record["policyEvaluationDetails"]["ifNotExistsDetails"]
    assert details["resourceId"].endswith(f"/guestConfigurationAssignments/{AUDITED}")
    assert details["totalResources"] == 1


async def test_summary_counts_resources_and_policies(two):
    path = f"{two.subscription}/{INSIGHTS}/policyStates/latest/summarize"
    body = await two.ok("POST", path)
    (value,) = body["value"]
    assert value["results"]["nonCompliantResources"] == 2
    assert value["results"]["nonCompliantPolicies"] == 4
    base, words = value["policyAssignments"]
    assert base["policyAssignmentId"].endswith("/base")
    assert base["results"]["nonCompliantResources"] == 1
    assert {one["complianceState"]: one["count"] for one in base["results"]["resourceDetails"]} == {
        "compliant": 1,
        "noncompliant": 1,
    }
    assert len(words["policyDefinitions"]) == 3
    uri = base["results"]["queryResultsUri"]
    followed = await two.arm("POST", uri)
    assert followed.json()["@odata.count"] == 2


async def test_triggered_evaluation_is_an_operation_that_ends(bed):
    await bed.assign()
    path = f"{bed.group}/{INSIGHTS}/policyStates/latest/triggerEvaluation"
    started = await bed.arm("POST", path)
    assert started.status_code == 202
    monitor = started.headers["location"]
    assert "/providers/Microsoft.PolicyInsights/asyncOperationResults/" in monitor
    await bed.settle()
    ended = await bed.arm("GET", monitor)
    assert (ended.status_code, ended.json()) == (200, {"status": "Succeeded"})
    assert await bed.state() == "NonCompliant"


async def test_trigger_on_a_machine_is_refused(bed):
    path = f"{bed.machine()}/{INSIGHTS}/policyStates/latest/triggerEvaluation"
    assert (await bed.arm("POST", path)).status_code == 400


async def test_reader_may_ask_but_not_trigger(bed):
    async with bed.cloud.plane.store.unit() as unit:
        reader = bed.cloud.directory.add_principal(unit, kind="ServicePrincipal", name="reader")
    path = f"{bed.group}/{INSIGHTS}/policyStates/latest"
    refused = await bed.arm("POST", f"{path}/queryResults", who=reader.object_id)
    assert refused.status_code == 403
    role = f"{bed.subscription}/{POLICY}/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    body = {"properties": {"roleDefinitionId": role, "principalId": reader.object_id}}
    await bed.ok("PUT", f"{bed.group}/{POLICY}/roleAssignments/{bed.cloud.plane.ids.guid()}", body)
    assert (await bed.arm("POST", f"{path}/queryResults", who=reader.object_id)).status_code == 200
    assert (await bed.arm("POST", f"{path}/summarize", who=reader.object_id)).status_code == 200
    refused = await bed.arm("POST", f"{path}/triggerEvaluation", who=reader.object_id)
    assert refused.status_code == 403
    assert "Microsoft.PolicyInsights/policyStates/triggerEvaluation/action" in refused.text


@pytest.mark.parametrize("which", ["newest", "default"])
async def test_unknown_set_of_states_is_refused(bed, which):
    path = f"{bed.group}/{INSIGHTS}/policyStates/{which}/summarize"
    assert (await bed.arm("POST", path)).status_code == 400


async def test_restart_forgets_neither_what_is_due_nor_what_was_found(bed):
    await bed.assign()
    await bed.clock.advance(minutes=3)
    await bed.restart(later=timedelta(minutes=1))
    assert await bed.guest(AUDITED) is None
    await bed.clock.advance(minutes=1)
    assert (await bed.guest(AUDITED))["complianceStatus"] == "Pending"
    await bed.report(AUDITED, "Compliant")
    await bed.add_machine("web-02")
    await bed.restart(later=timedelta(minutes=10))
    assert await bed.state() == "Compliant"
    await bed.clock.advance(minutes=5)
    assert (await bed.guest(AUDITED, "web-02"))["complianceStatus"] == "Pending"


async def test_bed_that_is_reset_has_no_timers_of_policy(bed):
    await bed.assign()
    await bed.cloud.bed.reset()
    await bed.clock.advance(days=2)
    assert bed.cloud.policy.states.all() == () or list(bed.cloud.policy.states.all()) == []


def test_heartbeat_alone_does_not_make_a_machine_another_one():
    machine = {"tags": {}, "location": "westeurope", "properties": {"status": "Connected", "osType": "linux"}}
    later = {
        **machine,
        "properties": {**machine["properties"], "status": "Disconnected", "agentVersion": "2"},
    }
    assert fingerprint(machine) == fingerprint(later)
    assert fingerprint(machine) != fingerprint({**machine, "tags": {"a": "b"}})


async def test_long_answer_comes_in_pages(two, monkeypatch):
    monkeypatch.setattr(query, "PAGE", 3)
    path = f"{two.subscription}/{INSIGHTS}/policyStates/latest/queryResults"
    page = await two.ok("POST", path, **{"$orderby": "resourceId asc", "$filter": "isCompliant eq false"})
    found = list(page["value"])
    while link := page.get("@odata.nextLink"):
        page = (await two.arm("POST", link)).json()
        found += page["value"]
    assert len({(one["resourceId"], one["policyDefinitionId"]) for one in found}) == len(found) == 7
    assert [one["resourceId"] for one in found] == sorted(one["resourceId"] for one in found)


async def test_report_that_was_kept_but_not_evaluated_before_a_crash_counts_after_it(bed):
    await bed.assign()
    await bed.clock.advance(FIVE)
    await bed.cloud.policy.stop()
    await bed.report(AUDITED, "Compliant")
    assert await bed.state() == "NonCompliant"
    await bed.restart()
    await bed.settle()
    assert await bed.state() == "Compliant"
