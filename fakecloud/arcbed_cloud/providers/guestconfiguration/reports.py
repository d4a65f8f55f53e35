"""Compliance reports: what an agent found, and what ARM then shows of the assignment. No HTTP here.

Rows of the table ``reports``: key ``{assignment}/reports/{arrival}/{report id}``, so that lists are in order
of arrival, scope the assignment's key. A row has ``report`` (ARM's shape), ``digest`` (SHA-256 of what was
sent) and ``applied``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from arcbed_cloud.arm import times
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.guestconfiguration.assignments import GuestAssignments
from arcbed_cloud.store.contract import Document, Row, Unit

TABLE = "reports"


@dataclass(frozen=True, slots=True)
class Finding:
    """A report as an agent sends it; times are RFC 3339, `configuration` has ``name`` and ``version``."""

    assignment_hash: str
    item_generation: int
    configuration: Document
    operation_type: str
    job_id: str
    start_time: str
    end_time: str
    compliance_status: str
    resources: Sequence[Document]
    seq: int
    error: Document | None = None
    engine: Document | None = None


class Reports:
    """The reports of all assignments; the newest `Settings.reports_kept` of each are kept."""

    def __init__(self, plane: Plane, assignments: GuestAssignments) -> None:
        self._store = plane.store
        self._kept = plane.settings.reports_kept
        self._assignments = assignments

    def of(self, assignment_key: str) -> Sequence[Row]:
        """All of an assignment, oldest first."""
        return self._store.rows(TABLE, scope=assignment_key)

    def get(self, assignment_key: str, report_id: str) -> Row | None:
        """One, or None."""
        end = f"/{report_id.lower()}"
        return next((row for row in self.of(assignment_key) if row.key.endswith(end)), None)

    def add(
        self, unit: Unit, machine: Row, assignment: Row, report_id: str, finding: Finding, digest: str
    ) -> bool:
        """Keep a report; True if it is what ARM now shows of the assignment.

        One about an older version of the assignment, or older than what is shown, is kept and shown nowhere
        else; so is one about an assignment that the machine has lost.
        """
        kept = self.of(assignment.key)
        applied = _counts(assignment, finding)
        arrival = int(kept[-1].key.split("/")[-2]) + 1 if kept else 1
        document = {
            "report": _shown(machine, assignment, report_id, finding),
            "digest": digest,
            "applied": applied,
            "engine": finding.engine,
            "error": finding.error,
        }
        key = f"{assignment.key}/reports/{arrival:012d}/{report_id.lower()}"
        unit.put(TABLE, key, document, scope=assignment.key)
        for old in kept[: max(0, len(kept) + 1 - self._kept)]:
            unit.delete(TABLE, old.key)
        if applied:
            self._assignments.keep(unit, _amended(assignment, report_id, finding))
        return applied


def _counts(assignment: Row, finding: Finding) -> bool:
    agent = assignment.document["agent"]
    if (
        agent["dropped"] is not None
        or finding.item_generation != agent["itemGeneration"]
        or finding.assignment_hash.upper() != assignment.document["properties"]["assignmentHash"].upper()
    ):
        return False
    shown = agent["reported"]
    # An agent that has lost its count starts it anew; then the time decides.
    return (
        shown is None
        or finding.seq > shown["seq"]
        or times.read(finding.end_time) > times.read(shown["endTime"])
    )


def _amended(assignment: Row, report_id: str, finding: Finding) -> Document:
    document = assignment.document
    return {
        **document,
        "properties": {
            **document["properties"],
            "complianceStatus": finding.compliance_status,
            "lastComplianceStatusChecked": _second(finding.end_time),
            "latestReportId": f"{document['id']}/reports/{report_id}",
        },
        "agent": {**document["agent"], "reported": {"seq": finding.seq, "endTime": finding.end_time}},
    }


def _shown(machine: Row, assignment: Row, report_id: str, finding: Finding) -> Document:
    start, end = _second(finding.start_time), _second(finding.end_time)
    name = assignment.document["name"]
    return {
        "id": f"{assignment.document['id']}/reports/{report_id}",
        "name": report_id,
        "properties": {
            "complianceStatus": finding.compliance_status,
            "reportId": report_id,
            "assignment": {"name": name, "configuration": finding.configuration},
            "vm": {"id": machine.document["id"], "uuid": machine.document["properties"]["vmId"]},
            "startTime": start,
            "endTime": end,
            "details": {
                "complianceStatus": finding.compliance_status,
                "startTime": start,
                "endTime": end,
                "jobId": finding.job_id,
                "operationType": finding.operation_type,
                "resources": [_resource(entry) for entry in finding.resources],
            },
        },
    }


def _resource(entry: Document) -> dict[str, Any]:
    reasons = [
        {"phrase": reason.get("phrase"), "code": reason.get("code")} for reason in entry.get("reasons") or ()
    ]
    return {
        "complianceStatus": entry.get("complianceStatus"),
        "resourceId": entry.get("resourceId"),
        "reasons": reasons,
        "properties": entry.get("properties") or {},
    }


def _second(text: str) -> str:
    return f"{times.read(text):%Y-%m-%dT%H:%M:%SZ}"
