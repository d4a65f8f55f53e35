"""gc_worker: evaluates one configuration in a process of its own.

Command line, as seen in the field: ``gc_worker -o run_consistency -a ASSIGNMENT [-p FOLDER] [-r]
[-s inguest|inguest_apply_and_monitor] [-c Pending|Compliant|NonCompliant] [-g URL]``. It reads what the agent
has published, writes ``reports/<configuration>_<Compliant|NonCompliant>.json`` and gc_worker.log, and never
speaks to the cloud.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from arcbed_agent.clock import SystemClock
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.files import make_folder, write_durably
from arcbed_agent.gc_logs import DISPATCHER, by, open_policy_log, telemetry
from arcbed_agent.gcad.dsc.engine import Step, evaluate
from arcbed_agent.gcad.dsc.host import LinuxHost
from arcbed_agent.gcad.dsc.results import Evaluation, Parameter, Reason
from arcbed_agent.gcad.records import Assignment, assignment_type, parameters_of
from arcbed_agent.host.layout import Layout

RUN: str = "run_consistency"
AUDIT = "inguest"
APPLY = "inguest_apply_and_monitor"
#: What the agent hands over beside the command line.
JOB, NOW = "GC_JOB_ID", "GC_NOW"


@dataclass(eq=False)
class WorkerError(Exception):
    """The configuration could not be evaluated."""

    code: str
    message: str


@dataclass
class RunClock(SystemClock):
    """The time that the agent said, which moves on as this machine's does."""

    def __init__(self, now: str) -> None:
        offset = timedelta()
        if now:
            offset = datetime.fromisoformat(now) - SystemClock().now()
        super().__init__(offset)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise WorkerError("InvalidCommandLine", message)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Raises:
        WorkerError: it is not one of gc_worker.
    """
    return _parser().parse_args(arguments)


@cache
def _parser() -> _Parser:
    parser = _Parser(prog="gc_worker", description=__doc__)
    parser.add_argument("-o", dest="operation", required=True, choices=[RUN])
    parser.add_argument("-a", dest="assignment", required=True)
    parser.add_argument("-p", dest="folder", type=Path)
    parser.add_argument("-r", dest="report", action="store_true")
    parser.add_argument("-s", dest="scope", choices=[AUDIT, APPLY], default=AUDIT)
    parser.add_argument(
        "-c", dest="previous", choices=["Pending", "Compliant", "NonCompliant"], default="Pending"
    )
    parser.add_argument("-g", dest="service", default="")
    return parser


def run(arguments: Sequence[str], environment: Mapping[str, str], layout: Layout) -> Path | None:
    """Evaluate as the command line says; answers where the report is.

    Raises:
        WorkerError: nothing could be evaluated.
        OSError: files cannot be read or written.
    """
    asked = parse(arguments)
    clock = RunClock(environment.get(NOW, ""))
    job = environment.get(JOB) or str(uuid.UUID(bytes=os.urandom(16), version=4))
    log = logging.getLogger("gc_worker")
    handler = open_policy_log(layout["gc_worker_log"], clock)
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(logging.INFO)
    try:
        return _consistency(asked, job, clock, layout, log)
    finally:
        handler.close()


def _consistency(
    asked: argparse.Namespace, job: str, clock: RunClock, layout: Layout, log: logging.Logger
) -> Path | None:
    assignment = _assignment(layout, asked.assignment)
    published = assignment.published
    if published is None:
        raise WorkerError("NotPublished", f"'{asked.assignment}' has no package.")
    folder = asked.folder or layout["configurations"] / asked.assignment
    log.info("Starting consistency for %s", asked.assignment, extra=by(DISPATCHER, job))
    log.info("Job %s", f"{{{job.upper()}}}")
    began, started = clock.now(), clock.monotonic()
    config = LocalConfig.load(layout)
    apart = layout.root != Path("/")
    result = evaluate(
        folder / f"{published.configuration}.mof",
        assignment_type=assignment_type(published.item) if asked.scope == APPLY else "Audit",
        previous=asked.previous,
        parameters=[Parameter(name, value) for name, value in parameters_of(published.item)],
        host=LinuxHost("/", writable=(layout.root,) if apart else ()),
        set_allowed=not apart or config.flag("gcad.allowHostChanges"),
        now=began,
        on_step=lambda step: log.info("%s", _line(step)),
    )
    for warning in result.warnings:
        log.warning("%s", warning, extra=by(DISPATCHER, job))
    seconds = clock.monotonic() - started
    telemetry(
        layout["gc_worker_telemetry"],
        clock,
        "RunConsistency",
        assignment=asked.assignment,
        complianceStatus=result.compliance_status,
        durationMs=round(seconds * 1_000),
    )
    if not asked.report:
        print(json.dumps(document(asked, job, began, clock.now(), result), indent=2))
        return None
    return _write(layout, published.configuration, document(asked, job, began, clock.now(), result))


def _assignment(layout: Layout, name: str) -> Assignment:
    path = layout["assignments"] / f"{name}.json"
    try:
        return Assignment.from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise WorkerError("UnknownAssignment", f"There is no assignment '{name}' here: {error}") from error


def _line(step: Step) -> str:
    """As the engine of the product writes it."""
    which = "Start" if step.seconds is None else "End"
    end = "" if step.seconds is None else f" in {step.seconds:.3f} seconds"
    name = step.resource_id if step.resource_id.startswith("[") else f"[{step.resource_id}]"
    return f"LCM: [ {which:<5} {step.operation:<8} ] [{name}]{end}."


def document(
    asked: argparse.Namespace, job: str, began: datetime, ended: datetime, result: Evaluation
) -> dict[str, Any]:
    """The report file: what the agent makes its report to the service of."""
    return {
        "additionalProperties": [],
        "assignmentName": asked.assignment,
        "complianceStatus": result.compliance_status == "Compliant",
        "startTime": _time(began),
        "endTime": _time(ended),
        "jobId": job,
        "operationtype": "Consistency",
        "resources": [
            {
                "resourceId": resource.resource_id,
                "complianceStatus": resource.compliance_status == "Compliant",
                "properties": resource.properties,
                "reasons": [_reason(reason) for reason in resource.reasons],
            }
            for resource in result.resources
        ],
    }


def _reason(reason: Reason) -> dict[str, str]:
    return {"phrase": reason.phrase, "code": reason.code}


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _write(layout: Layout, configuration: str, content: dict[str, Any]) -> Path:
    """One report of a configuration at a time."""
    folder = make_folder(layout["policy_reports"], mode=0o700)
    word, other = (
        ("Compliant", "NonCompliant") if content["complianceStatus"] else ("NonCompliant", "Compliant")
    )
    path = folder / f"{configuration}_{word}.json"
    write_durably(path, json.dumps(content, default=str), power_loss=False)
    (folder / f"{configuration}_{other}.json").unlink(missing_ok=True)
    return path


def answer(
    arguments: Sequence[str], environment: Mapping[str, str], layout: Layout
) -> tuple[int, dict[str, str]]:
    """Run, and say how it went: exit code and ``{"report"}`` or ``{"code", "message"}``."""
    try:
        path = run(arguments, environment, layout)
    except WorkerError as failure:
        return 1, {"code": failure.code, "message": failure.message}
    except (AgentError, OSError) as error:
        return 1, {"code": "EvaluationFailed", "message": str(error)}
    except Exception as error:  # noqa: BLE001 - one configuration must not end the worker
        return 1, {"code": "EvaluationFailed", "message": f"{type(error).__name__}: {error}"}
    return 0, {"report": str(path) if path else ""}


def main() -> None:
    """``gc_worker``: one evaluation, or ``--serve SOCKET`` for the agent."""
    from arcbed_agent.gcad.serving import serve

    layout = Layout.from_environment()
    os.umask(0o027)
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], layout)
        return
    code, said = answer(sys.argv[1:], os.environ, layout)
    if code:
        print(f"gc_worker: {said['code']}: {said['message']}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
