"""Runs a configuration: Test, Set where the mode allows it, Get for the reasons.

Source: Microsoft's articles "Remediation options for machine configuration" and "PSDesiredStateConfiguration
in machine configuration".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from arcbed_agent.clock import SystemClock
from arcbed_agent.gcad.dsc.commands import CommandTimeout
from arcbed_agent.gcad.dsc.configuration import Configuration, ConfigurationError, load, resource_id
from arcbed_agent.gcad.dsc.host import ChangeRefused, DscHost
from arcbed_agent.gcad.dsc.mof import Instance, Reference
from arcbed_agent.gcad.dsc.registry import Unsupported, resource
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault
from arcbed_agent.gcad.dsc.results import (
    COMPLIANT,
    NON_COMPLIANT,
    PENDING,
    Evaluation,
    Parameter,
    Reason,
    ResourceResult,
)
from arcbed_agent.gcad.metaconfig import MetaConfig, read_metaconfig

#: What a compliant resource says that gives no reason of its own.
SUCCESS = Reason("DSC::RESOURCE::SUCCESS", "Operation successful.")

#: Characters of a text that a report shows.
SHOWN = 8192

_ALWAYS_CORRECTS = frozenset({"applyandautocorrect", "deployandautocorrect"})
_T = TypeVar("_T")
_APPLIES_ONCE = frozenset({"applyandmonitor", "applyonce", "applyonly"})
_OF_EVERY_RESOURCE = ("ConfigurationName", "DependsOn", "ModuleName", "ModuleVersion", "SourceInfo")


@dataclass(frozen=True)
class Step:
    """One call of the engine, for the worker's log.

    Args:
        resource_id: ``[Type]name``.
        operation: ``Resource`` (the whole visit), ``Test``, ``Set`` or ``Get``.
        seconds: None at the start of the call.
    """

    resource_id: str
    operation: str
    seconds: float | None = None


def _silent(_step: Step) -> None:
    """Nobody listens."""


def sets(assignment_type: str, previous: str, package_type: str, *, repair_at_once: bool = False) -> bool:
    """Whether a run in this mode corrects what it finds.

    Args:
        assignment_type: the assignment's mode, case ignored.
        previous: the status before this run.
        package_type: ``Audit`` packages are never applied.
        repair_at_once: drift of an auto-correcting assignment is repaired in the run that finds it; by
            default that run reports it and the next one repairs, as agents in the field do.
    """
    mode = assignment_type.casefold()
    if package_type.casefold() != "auditandset":
        return False
    if mode in _ALWAYS_CORRECTS:
        return repair_at_once or previous != COMPLIANT
    return mode in _APPLIES_ONCE and previous == PENDING


def evaluate(
    document: Path,
    *,
    assignment_type: str,
    previous: str,
    parameters: Sequence[Parameter],
    host: DscHost,
    set_allowed: bool,
    now: datetime,
    on_step: Callable[[Step], None] = _silent,
    metaconfig: MetaConfig | None = None,
    repair_at_once: bool = False,
) -> Evaluation:
    """Evaluate `document`.

    Args:
        document: the MOF; ``<name>.metaconfig.json`` beside it is honoured.
        assignment_type: Audit, ApplyAndMonitor, ApplyAndAutoCorrect, DeployAndAutoCorrect or ApplyOnce.
        previous: Pending, Compliant or NonCompliant.
        parameters: override properties of the document.
        host: the machine.
        set_allowed: whether Set may change the machine outside the host's own folders.
        now: bed time, for rules about dates.
        on_step: told what starts and ends, for the log.
        metaconfig: instead of the file beside the document.
        repair_at_once: see `sets`.

    Never raises for what the document holds or what the machine does: that becomes reasons.
    """
    settings = metaconfig or read_metaconfig(document.parent, document.stem)
    run = _Run(
        host=host.for_run(changes_allowed=set_allowed, now=now),
        folder=document.parent,
        correct=sets(assignment_type, previous, settings.type, repair_at_once=repair_at_once),
        on_step=on_step,
    )
    try:
        configuration = load(document, parameters)
    except ConfigurationError as problem:
        failed = ResourceResult(document.stem, NON_COMPLIANT, {}, [Reason(problem.code, problem.phrase)])
        return Evaluation(NON_COMPLIANT, [failed], applied=False)
    return run.over(configuration)


class _Run:
    """One pass over a configuration."""

    def __init__(
        self, host: DscHost, folder: Path, *, correct: bool, on_step: Callable[[Step], None]
    ) -> None:
        self._host = host
        self._folder = folder
        self._correct = correct
        self._on_step = on_step
        self._clock = SystemClock()
        self._applied = False

    def over(self, configuration: Configuration) -> Evaluation:
        results: dict[int, ResourceResult] = {}
        for index in configuration.order:
            met = all(
                results[other].compliance_status == COMPLIANT for other in configuration.depends_on[index]
            )
            results[index] = self._visit(configuration.instances[index], correct=self._correct and met)
        ordered = [results[index] for index in range(len(configuration.instances))]
        compliant = all(result.compliance_status == COMPLIANT for result in ordered)
        return Evaluation(
            COMPLIANT if compliant else NON_COMPLIANT,
            ordered,
            applied=self._applied,
            warnings=configuration.warnings,
        )

    def _visit(self, instance: Instance, *, correct: bool) -> ResourceResult:
        name = resource_id(instance)
        try:
            return self._timed(name, "Resource", lambda: self._evaluated(instance, name, correct=correct))
        except Exception as problem:  # noqa: BLE001 - one resource never ends the run
            return _result(instance, NON_COMPLIANT, Current(), [_fault(instance, problem)])

    def _evaluated(self, instance: Instance, name: str, *, correct: bool) -> ResourceResult:
        found = resource(instance, self._host, self._folder)
        compliant = self._timed(name, "Test", found.test)
        failure: Reason | None = None
        if not compliant and correct and not isinstance(found, Unsupported):
            failure = self._set(found, name)
            compliant = self._timed(name, "Test", found.test)
        current = self._timed(name, "Get", lambda: found.current)
        reasons = list(current.reasons)
        if failure and not compliant:
            reasons.append(failure)
        if compliant and not reasons:
            reasons = [SUCCESS]
        status = COMPLIANT if compliant else NON_COMPLIANT
        return _result(instance, status, current, reasons)

    def _set(self, found: Resource, name: str) -> Reason | None:
        try:
            self._timed(name, "Set", found.apply)
        except Exception as problem:  # noqa: BLE001 - becomes a reason; the state is tested again
            return _fault(found.instance, problem, found.type_name, "SetFailed")
        else:
            return None
        finally:
            self._applied = True

    def _timed(self, name: str, operation: str, call: Callable[[], _T]) -> _T:
        self._on_step(Step(name, operation))
        began = self._clock.monotonic()
        try:
            return call()
        finally:
            self._on_step(Step(name, operation, self._clock.monotonic() - began))


def _fault(instance: Instance, problem: Exception, word: str = "", detail: str = "Error") -> Reason:
    word = word or instance.class_name
    if isinstance(problem, ResourceFault):
        return Reason(f"{word}:{word}:{problem.detail}", problem.phrase)
    if isinstance(problem, CommandTimeout):
        return Reason(f"{word}:{word}:Timeout", f"{problem}.")
    if isinstance(problem, ChangeRefused):
        return Reason(f"{word}:{word}:ChangeRefused", str(problem))
    if isinstance(problem, OSError):
        place = f"{problem.filename}: " if problem.filename else ""
        return Reason(f"{word}:{word}:{detail}", f"{place}{problem.strerror or problem}.")
    return Reason(f"{word}:{word}:{detail}", f"{type(problem).__name__}: {problem}")


def _result(instance: Instance, status: str, current: Current, reasons: Sequence[Reason]) -> ResourceResult:
    """As it is reported, with what Get returns in the names that reports use."""
    told = [Reason(_clean(one.code), _clean(one.phrase)) for one in reasons]
    report: dict[str, Any] = {name: instance.get(name) for name in _OF_EVERY_RESOURCE}
    report["PsDscRunAsCredential"] = None
    report["ResourceId"] = resource_id(instance)
    report |= current.properties
    report["Reasons"] = [{"Code": one.code, "Phrase": one.phrase} for one in told]
    properties = {name: _plain(value) for name, value in report.items()}
    return ResourceResult(resource_id(instance), status, properties, told)


def _clean(text: str) -> str:
    """Text that fits a report: of limited length, and with nothing that UTF-8 cannot write."""
    return text[:SHOWN].encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Reference):
        return value.alias
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Instance):
        return {name: _plain(item) for name, item in value.properties.items()}
    return value
