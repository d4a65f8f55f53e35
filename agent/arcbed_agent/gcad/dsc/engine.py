"""Runs a configuration document: Test, Set where the mode allows it, Get for the reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from arcbed_agent.gcad.dsc.host import DscHost
from arcbed_agent.gcad.dsc.results import NON_COMPLIANT, Evaluation, Parameter


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

    Never raises for what the document holds or what the machine does: that becomes reasons.
    """
    del document, assignment_type, previous, parameters, host, set_allowed, now, on_step
    return Evaluation(NON_COMPLIANT, [], applied=False)
