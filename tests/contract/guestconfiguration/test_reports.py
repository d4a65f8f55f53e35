"""Compliance reports: what a machine sends, and what ARM shows of it (``docs/wire.md`` section 11.5)."""

from __future__ import annotations

import gzip
import json

import pytest

from arcbed_cloud.settings import Settings


def one(number: int) -> str:
    return f"11111111-2222-4333-8444-{number:012d}"


async def test_report_makes_the_assignment_compliant_and_is_shown(bed):
    await bed.assign("Motd")
    await bed.pull()
    answer = await bed.report("Motd")
    assert answer.status_code == 201
    assert answer.json() == {"reportId": one(1), "applied": True}
    shown = await bed.shown("Motd")
    assert shown["complianceStatus"] == "Compliant"
    assert shown["lastComplianceStatusChecked"] == f"{bed.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    assert shown["latestReportId"] == f"{bed.assignment('Motd')}/reports/{one(1)}"
    read = await bed.arm("GET", shown["latestReportId"])
    assert read.status_code == 200
    found = read.json()
    assert (found["id"], found["name"]) == (shown["latestReportId"], one(1))
    properties = found["properties"]
    assert properties["assignment"] == {"name": "Motd", "configuration": {"name": "Motd", "version": "1.0.0"}}
    assert properties["vm"] == {"id": bed.machine(), "uuid": "9a0d1c9e-2f10-4d53-9d5e-000000000001"}
    assert properties["details"]["operationType"] == "Consistency"
    assert properties["details"]["jobId"] == properties["reportId"] == one(1)
    assert properties["details"]["resources"] == [
        {
            "complianceStatus": "Compliant",
            "resourceId": "[nxFile]motd",
            "reasons": [{"phrase": "Operation successful.", "code": "DSC::RESOURCE::SUCCESS"}],
            "properties": {"ResourceId": "[nxFile]motd", "DestinationPath": "/etc/motd"},
        }
    ]


async def test_reports_are_listed_newest_first_without_details(bed):
    await bed.assign("Motd")
    for number in (3, 1, 2):
        await bed.clock.advance(minutes=15)
        assert (await bed.report("Motd", number)).status_code == 201
    listed = (await bed.arm("GET", f"{bed.assignment('Motd')}/reports")).json()["value"]
    assert [entry["name"] for entry in listed] == [one(2), one(1), one(3)]
    assert all(entry["properties"]["details"] is None for entry in listed)


async def test_reports_of_an_assignment_that_is_not_there_are_404(bed):
    for path in ("/reports", f"/reports/{one(1)}"):
        answer = await bed.arm("GET", bed.assignment("Motd") + path)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "ResourceNotFound"
    await bed.assign("Motd")
    assert (await bed.arm("GET", f"{bed.assignment('Motd')}/reports/{one(1)}")).status_code == 404


async def test_same_report_again_is_200_and_another_with_its_id_a_conflict(bed):
    await bed.assign("Motd")
    body = bed.finding("Motd")
    first = await bed.send_report("Motd", 1, body)
    again = await bed.send_report("Motd", 1, body)
    other = await bed.send_report("Motd", 1, body | {"complianceStatus": "NonCompliant"})
    assert [answer.status_code for answer in (first, again, other)] == [201, 200, 409]
    assert again.json() == first.json()
    assert other.json()["error"]["code"] == "ReportConflict"
    assert (await bed.shown("Motd"))["complianceStatus"] == "Compliant"
    assert len((await bed.arm("GET", f"{bed.assignment('Motd')}/reports")).json()["value"]) == 1


async def test_put_makes_pending_again_and_keeps_the_reports(bed):
    await bed.assign("Motd")
    await bed.report("Motd")
    before = await bed.shown("Motd")
    await bed.assign("Motd")
    after = await bed.shown("Motd")
    assert after == before | {"complianceStatus": "Pending"}


@pytest.mark.parametrize("stale", [{"itemGeneration": 1}, {"assignmentHash": "00.11"}])
async def test_report_about_another_version_is_kept_and_changes_no_compliance(bed, stale):
    await bed.assign("Motd")
    await bed.assign("Motd")
    answer = await bed.report("Motd", **stale)
    assert (answer.status_code, answer.json()["applied"]) == (201, False)
    assert (await bed.shown("Motd"))["complianceStatus"] == "Pending"
    assert len((await bed.arm("GET", f"{bed.assignment('Motd')}/reports")).json()["value"]) == 1


async def test_older_report_that_comes_late_changes_no_compliance(bed):
    await bed.assign("Motd")
    late = bed.finding("Motd", 1, complianceStatus="NonCompliant")
    await bed.clock.advance(minutes=15)
    await bed.report("Motd", 2)
    assert (await bed.send_report("Motd", 1, late)).json()["applied"] is False
    assert (await bed.shown("Motd"))["complianceStatus"] == "Compliant"


async def test_agent_that_counts_anew_is_believed_by_its_time(bed):
    await bed.assign("Motd")
    await bed.report("Motd", 7)
    await bed.clock.advance(minutes=15)
    answer = await bed.report("Motd", 1, complianceStatus="NonCompliant")
    assert answer.json()["applied"] is True
    assert (await bed.shown("Motd"))["complianceStatus"] == "NonCompliant"


async def test_report_about_an_assignment_that_is_gone_is_404(bed):
    await bed.assign("Motd")
    body = bed.finding("Motd")
    await bed.arm("DELETE", bed.assignment("Motd"))
    answer = await bed.send_report("Motd", 1, body)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "AssignmentNotFound"


@pytest.mark.parametrize(
    ("change", "target"),
    [
        ({"complianceStatus": "Fine"}, "complianceStatus"),
        ({"endTime": "yesterday"}, "endTime"),
        ({"operationType": "Often"}, "operationType"),
        ({"itemGeneration": "1"}, "itemGeneration"),
        ({"seq": None}, "seq"),
        ({"resources": [{"complianceStatus": True}]}, "resources.0.complianceStatus"),
        ({"assignmentName": "Other"}, "assignmentName"),
    ],
)
async def test_report_that_is_wrong_names_the_member_and_changes_nothing(bed, change, target):
    await bed.assign("Motd")
    answer = await bed.report("Motd", **change)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "InvalidRequest"
    assert answer.json()["error"]["target"] == target
    assert (await bed.shown("Motd"))["complianceStatus"] == "Pending"


async def test_report_id_that_is_no_guid_is_refused(bed):
    await bed.assign("Motd")
    answer = await bed.gas("PUT", "/assignments/Motd/reports/first", json=bed.finding("Motd"))
    assert answer.status_code == 400
    assert answer.json()["error"]["target"] == "reportId"


async def test_report_over_the_size_is_refused_also_when_packed(bed):
    await bed.assign("Motd")
    body = json.dumps(bed.finding("Motd", engine={"padding": "x" * 204_800})).encode()
    path = f"/assignments/Motd/reports/{one(1)}"
    plain = await bed.gas("PUT", path, content=body)
    packed = await bed.gas("PUT", path, content=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert [answer.status_code for answer in (plain, packed)] == [413, 413]
    assert packed.json()["error"]["code"] == "PayloadTooLarge"
    fits = json.dumps(bed.finding("Motd", engine={"padding": "x" * 100_000})).encode()
    small = await bed.gas("PUT", path, content=gzip.compress(fits), headers={"Content-Encoding": "gzip"})
    assert small.status_code == 201


async def test_evaluation_that_failed_is_not_compliant_with_its_reason(bed):
    await bed.assign("Motd")
    error = {"code": "PackageHashMismatch", "message": "the package's hash is another"}
    reasons = [
        {
            "resourceId": "Motd",
            "complianceStatus": "NonCompliant",
            "reasons": [{"code": error["code"], "phrase": error["message"]}],
        }
    ]
    await bed.report("Motd", complianceStatus="NonCompliant", error=error, resources=reasons)
    found = (await bed.arm("GET", f"{bed.assignment('Motd')}/reports/{one(1)}")).json()["properties"]
    assert found["complianceStatus"] == "NonCompliant"
    assert found["details"]["resources"][0]["reasons"] == [
        {"phrase": "the package's hash is another", "code": "PackageHashMismatch"}
    ]


class TestRing:
    @pytest.fixture
    def changes(self):
        return {"reports_kept": 3}

    async def test_newest_reports_are_kept_and_older_ones_forgotten(self, bed):
        await bed.assign("Motd")
        for number in range(1, 6):
            await bed.clock.advance(minutes=15)
            await bed.report("Motd", number)
        listed = (await bed.arm("GET", f"{bed.assignment('Motd')}/reports")).json()["value"]
        assert [entry["name"] for entry in listed] == [one(5), one(4), one(3)]
        assert (await bed.arm("GET", f"{bed.assignment('Motd')}/reports/{one(1)}")).status_code == 404


def test_hundred_reports_of_each_assignment_are_kept_by_default(tmp_path):
    assert Settings(state=tmp_path).reports_kept == 100


async def test_reports_go_with_the_group_of_their_machine(bed):
    await bed.assign("Motd")
    await bed.report("Motd")
    await bed.pull()
    answer = await bed.arm("DELETE", bed.group, version="2022-09-01")
    assert answer.status_code == 202
    await bed.settle()
    store = bed.cloud.plane.store
    assert not store.rows("reports")
    assert not store.rows("pulls")
    assert not store.rows("resources", kind="microsoft.guestconfiguration/guestconfigurationassignments")
