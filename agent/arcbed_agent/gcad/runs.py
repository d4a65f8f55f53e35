"""One evaluation: the worker's command line, its time limit, and the report that comes of it."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from arcbed_agent.clock import Clock, ClockTask
from arcbed_agent.cloud.transport import new_guid
from arcbed_agent.config import LocalConfig
from arcbed_agent.exchange.local import LocalIdentity
from arcbed_agent.gc_logs import DISPATCHER, by, telemetry
from arcbed_agent.gcad import reports
from arcbed_agent.gcad.records import Assignment, assignment_type
from arcbed_agent.gcad.worker import APPLY, AUDIT, JOB, NOW, RUN
from arcbed_agent.gcad.workers import Outcome, WorkerGoneError, Workers
from arcbed_agent.host.layout import Layout

Run = Callable[[Assignment, ClockTask], Awaitable[Assignment]]
#: A tag of the machine: custom packages audit and change nothing.
AUDIT_ONLY: Final = ("CustomGuestConfigurationSetPolicy", "disable")
#: Of the account of a run, for telemetry.
_TOLD: Final = ("cpuSecondsUsed", "throttledSeconds", "enforced")
_REPAIRING: Final = {"applyandautocorrect", "deployandautocorrect"}


class Runs:
    """Evaluates assignments through the worker.

    Args:
        base: URL of the service for this machine, for the worker's ``-g``.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        clock: Clock,
        chance: random.Random,
        config: Callable[[], LocalConfig],
        identity: LocalIdentity,
        workers: Workers,
        base: Callable[[], str],
        log: logging.Logger,
    ) -> None:
        self._layout = layout
        self._clock = clock
        self._chance = chance
        self._config = config
        self._identity = identity
        self._workers = workers
        self._base = base
        self._log = log

    async def __call__(self, assignment: Assignment, task: ClockTask) -> Assignment:
        """Evaluate and answer the record with the new status and, where there is news, a report."""
        job = new_guid(self._chance)
        arguments = self._arguments(assignment, await self._identity.tags())
        began, started = self._clock.now(), self._clock.monotonic()
        limit = timedelta(seconds=self._config().number("gcad.evaluationLimitSeconds"))
        self._log.info("Starting consistency for %s", assignment.name, extra=by(DISPATCHER, job))
        environment = {JOB: job, NOW: began.isoformat()}
        try:
            outcome = await self._workers.run(task, arguments, environment, limit)
        except WorkerGoneError as error:
            said = {"code": "WorkerEnded", "message": str(error)}
            outcome = Outcome(1, said, used=self._workers.used())
        seconds = self._clock.monotonic() - started
        text = "run_consistency for '%s' execution completed in %d seconds"
        self._log.info(text, assignment.name, round(seconds), extra=by(DISPATCHER, job))
        found = self._result(outcome, job, limit)
        self._tell_telemetry(assignment, found, seconds, outcome.used)
        return self._reported(assignment, found, job, began, outcome)

    def _arguments(self, assignment: Assignment, tags: Mapping[str, str]) -> list[str]:
        published = assignment.published
        item = published.item if published else assignment.item
        mode = assignment_type(item)
        custom = str((item.get("guestConfiguration") or {}).get("contentType") or "") != "Builtin"
        audit = mode == "Audit" or (custom and tags.get(AUDIT_ONLY[0], "").lower() == AUDIT_ONLY[1])
        previous = assignment.status
        at_once = self._config().text("gcad.repair") == "immediate" and mode.lower() in _REPAIRING
        if at_once and previous == "Compliant":
            previous = "NonCompliant"
        return [
            *("-o", RUN, "-a", assignment.name),
            *("-p", str(self._layout["configurations"] / assignment.name)),
            *("-r", "-s", AUDIT if audit else APPLY, "-c", previous, "-g", self._base()),
        ]

    def _result(self, outcome: Outcome, job: str, limit: timedelta) -> dict[str, Any]:
        """The worker's report, or ``{"error": {"code", "message"}}``."""
        if outcome.timed_out:
            minutes = limit.total_seconds() / 60
            return _error("EvaluationTimedOut", f"The evaluation took longer than {minutes:g} minutes.")
        if outcome.code < 0:
            return _error("WorkerEnded", f"The worker was ended by signal {-outcome.code}.")
        if outcome.code:
            said = outcome.answer
            return _error(
                str(said.get("code") or "EvaluationFailed"), str(said.get("message") or "No reason given.")
            )
        try:
            document: dict[str, Any] = json.loads(Path(str(outcome.answer["report"])).read_bytes())
        except (OSError, ValueError, KeyError) as error:
            return _error("ReportMissing", f"The worker's report cannot be read: {error}")
        if document.get("jobId") != job:
            return _error("ReportMissing", "The worker's report is of another run.")
        return document

    def _reported(
        self, assignment: Assignment, found: Mapping[str, Any], job: str, began: datetime, outcome: Outcome
    ) -> Assignment:
        now = self._clock.now()
        engine = reports.engine(outcome.cpu_seconds, outcome.used)
        times = (began, now)
        document = reports.of_run(assignment, found, job=job, times=times, engine=engine)
        return reports.told(replace(assignment, initial=False, used=dict(outcome.used)), document, now)

    def _tell_telemetry(
        self, assignment: Assignment, found: Mapping[str, Any], seconds: float, used: Mapping[str, Any]
    ) -> None:
        telemetry(
            self._layout["gc_agent_telemetry"],
            self._clock,
            "RunConsistency",
            assignment=assignment.name,
            error=(found.get("error") or {}).get("code", ""),
            durationMs=round(seconds * 1_000),
            **{name: used[name] for name in _TOLD if name in used},
        )


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}
