"""A machine that was silent for more than fourteen days, as policy sees it: ``docs/wire.md`` section 11.4."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

BASELINE = "AzureLinuxBaseline"
REPORT = "11111111-2222-4333-8444-{:012d}"
VM_ID = "9a0d1c9e-2f10-4d53-9d5e-000000000001"


async def gas(bed, method: str, path: str, body: Any = None) -> dict[str, Any]:
    row = bed.cloud.machines.get(bed.machine().lower())
    principal = bed.cloud.directory.principal(row.document["identity"]["principalId"])
    token, _ = bed.cloud.tokens.issue_application(principal, "https://management.core.windows.net/", acr="2")
    answer = await bed.http.request(
        method,
        f"https://localhost:8443/gas/virtualMachines/{VM_ID}{path}",
        params={"api-version": "sim-1"},
        json=body,
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.is_success, answer.text
    await bed.settle()
    return answer.json()


async def evaluate(bed, number: int) -> None:
    """Pull, and report that all is well."""
    item = (await gas(bed, "GET", "/assignments"))["value"][0]
    now = f"{bed.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    report = {
        "assignmentName": item["name"],
        "assignmentHash": item["assignmentHash"],
        "itemGeneration": item["itemGeneration"],
        "configuration": {"name": item["name"]},
        "operationType": "Consistency",
        "jobId": REPORT.format(number),
        "startTime": now,
        "endTime": now,
        "complianceStatus": "Compliant",
        "seq": number,
    }
    taken = await gas(bed, "PUT", f"/assignments/{item['name']}/reports/{report['jobId']}", report)
    assert taken["applied"] is True


@pytest.fixture
async def compliant(bed):
    """A policy assignment, its guest assignment, and a machine that has reported on it."""
    made = await bed.assign()
    await bed.clock.advance(minutes=5)
    await evaluate(bed, 1)
    assert await bed.state() == "Compliant"
    return made


async def test_assignment_that_a_machine_lost_is_non_compliant_until_it_is_put_anew(bed, compliant):
    await bed.clock.advance(days=14)
    assert await bed.state() == "Compliant", "the last known state, while the machine is away"
    await bed.clock.advance(seconds=1)
    back = await gas(bed, "GET", "/assignments")
    assert (back["value"], back["dropped"]) == ([], [BASELINE])
    assert (await bed.guest(BASELINE))["complianceStatus"] == "Pending"
    assert await bed.state() == "NonCompliant"
    assert await bed.ok("GET", compliant["id"]) == compliant, "the policy assignment is untouched"

    await bed.clock.advance(days=3)  # the daily cycle makes nothing of it
    assert (await gas(bed, "GET", "/assignments"))["dropped"] == [BASELINE]
    assert await bed.state() == "NonCompliant"

    shown = await bed.guest(BASELINE)
    body = {"properties": {"guestConfiguration": shown["guestConfiguration"]}}
    await bed.ok(
        "PUT",
        f"{bed.machine()}/providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/{BASELINE}",
        body,
    )
    await evaluate(bed, 2)
    assert await bed.state() == "Compliant"


async def test_assignment_that_arm_deleted_is_not_made_again_by_itself(bed, compliant):
    bed.cloud.settings = replace(bed.cloud.settings, arm_on_expiry="delete")
    await bed.restart()
    await bed.clock.advance(days=14)
    assert await bed.guest(BASELINE) is not None
    await bed.clock.advance(seconds=1)
    await bed.settle()
    assert await bed.guest(BASELINE) is None
    stone = bed.cloud.plane.store.get("pulls", VM_ID).document["buried"][BASELINE.lower()]
    assert (stone["name"], stone["policyAssignmentId"]) == (BASELINE, compliant["id"])
    await bed.clock.advance(days=3)
    back = await gas(bed, "GET", "/assignments")
    assert (back["value"], back["dropped"]) == ([], [BASELINE])
    assert await bed.guest(BASELINE) is None
    assert await bed.state() == "NonCompliant"
    assert await bed.ok("GET", compliant["id"]) == compliant
