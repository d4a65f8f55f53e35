"""Compliance reports: what they say, and whether there is anything to say. ``docs/wire.md`` section 11.5."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from arcbed_agent import AGENT_VERSION
from arcbed_agent.gcad.records import Assignment, generation, moment_of, written

#: An unchanged result is told again after this long.
CADENCE: Final = timedelta(minutes=15)
COMPLIANT: Final = "Compliant"
NON_COMPLIANT: Final = "NonCompliant"
#: Bytes of a report that the service takes.
SIZE_LIMIT: Final = 204_800
_PHRASE: Final = 512


def of_run(
    assignment: Assignment,
    found: Mapping[str, Any],
    *,
    job: str,
    times: tuple[datetime, datetime],
    engine: Mapping[str, Any],
) -> dict[str, Any]:
    """The report of one evaluation.

    Args:
        assignment: what was evaluated.
        found: the worker's report file, or ``{"error": {"code", "message"}}``.
        job: GUID of the evaluation, also the report's id.
        times: start and end.
        engine: who evaluated, and what it cost.
    """
    published = assignment.published
    item = published.item if published else assignment.item
    error = found.get("error")
    document = _frame(assignment, item, job=job, times=times)
    document["configuration"] = {
        "name": published.configuration if published else assignment.configuration,
        "version": published.version if published else "",
    }
    document["operationType"] = "Initial" if assignment.initial else "Consistency"
    document["complianceStatus"] = _word(not error and bool(found.get("complianceStatus")))
    document["resources"] = [_resource(resource) for resource in found.get("resources") or []]
    document["engine"] = dict(engine)
    if error:
        document["error"] = dict(error)
        document["resources"] = [_reasoned(assignment, error)]
    return document


def of_failure(assignment: Assignment, code: str, message: str, *, job: str, now: datetime) -> dict[str, Any]:
    """The report of a package that cannot be published."""
    error = {"code": code, "message": message}
    document = _frame(assignment, assignment.item, job=job, times=(now, now))
    version = str(assignment.guest_configuration.get("version") or "")
    document |= {
        "configuration": {"name": assignment.configuration, "version": version},
        "operationType": "Initial",
        "complianceStatus": NON_COMPLIANT,
        "resources": [_reasoned(assignment, error)],
        "engine": engine(0.0, {}),
        "error": error,
    }
    return document


def engine(cpu_seconds: float, used: Mapping[str, Any]) -> dict[str, Any]:
    """The member `engine`; a limit is named only by what keeps it."""
    return {
        "version": AGENT_VERSION,
        "worker": "gc_worker",
        "cpuLimitPercent": None,
        "cpuSecondsUsed": round(cpu_seconds, 3),
        "throttledSeconds": 0.0,
        **used,
    }


def told(assignment: Assignment, document: dict[str, Any], now: datetime) -> Assignment:
    """The record with the new status, and with the report if that is news or a quarter of an hour is over.

    A report that is still waiting is replaced: the newest is what counts.
    """
    status = str(document["complianceStatus"])
    digest = _digest(document)
    since = moment_of(assignment.told_at)
    due = since is None or now - since >= CADENCE
    assignment = replace(assignment, status=status)
    if digest == assignment.told and not due and assignment.report is None:
        return assignment
    seq = assignment.seq + 1
    return replace(assignment, seq=seq, told=digest, told_at=written(now), report={**document, "seq": seq})


def _frame(
    assignment: Assignment, item: Mapping[str, Any], *, job: str, times: tuple[datetime, datetime]
) -> dict[str, Any]:
    return {
        "assignmentName": assignment.name,
        "assignmentHash": str(item.get("assignmentHash") or ""),
        "itemGeneration": generation(item),
        "jobId": job,
        "startTime": _time(times[0]),
        "endTime": _time(times[1]),
    }


def _resource(resource: Mapping[str, Any]) -> dict[str, Any]:
    properties = resource.get("properties") or {}
    return {
        "resourceId": str(resource.get("resourceId") or properties.get("ResourceId") or ""),
        "complianceStatus": _word(bool(resource.get("complianceStatus"))),
        "properties": properties,
        "reasons": [
            {"code": str(reason.get("code", "")), "phrase": str(reason.get("phrase", ""))}
            for reason in resource.get("reasons") or []
        ],
    }


def _reasoned(assignment: Assignment, error: Mapping[str, Any]) -> dict[str, Any]:
    """What went wrong as a reason, since that is where people look."""
    return {
        "resourceId": assignment.configuration,
        "complianceStatus": NON_COMPLIANT,
        "properties": {},
        "reasons": [{"code": str(error["code"]), "phrase": str(error["message"])}],
    }


def _digest(document: Mapping[str, Any]) -> str:
    """Of status and reasons: what makes a report news."""
    reasons = [(one["resourceId"], one["complianceStatus"], one["reasons"]) for one in document["resources"]]
    said = [document["itemGeneration"], document["operationType"], document["complianceStatus"], reasons]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _word(holds: bool) -> str:
    return COMPLIANT if holds else NON_COMPLIANT


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def size(document: Mapping[str, Any]) -> int:
    """Bytes of `document` on the wire."""
    return len(json.dumps(document, separators=(",", ":")).encode())


def shortened(document: Mapping[str, Any]) -> dict[str, Any]:
    """A report that was too large, smaller: ``docs/wire.md``, "Shortening after 413"."""
    short = {**document, "truncated": True}
    short["resources"] = [{**resource, "properties": {}} for resource in document["resources"]]
    if size(short) > SIZE_LIMIT:
        short["resources"] = [
            {**one, "reasons": [{**why, "phrase": why["phrase"][:_PHRASE]} for why in one["reasons"]]}
            for one in short["resources"]
        ]
    return short
