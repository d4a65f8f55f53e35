"""How an operation went, and what is told about it: to the service, and in /var/lib/GuestConfig.

Shapes: ``docs/wire.md`` section 12.3. Texts: as Microsoft's article "Troubleshoot VM extension issues" and
published resources have them; `level` and `code` likewise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from arcbed_agent.extd import failure, status
from arcbed_agent.extd.commands import Ended
from arcbed_agent.extd.failure import OperationError
from arcbed_agent.extd.goal import Goal
from arcbed_agent.extd.records import FAILED, IN_PROGRESS, SUCCEEDED, Extension, Handler
from arcbed_agent.extd.status import Status
from arcbed_agent.files import make_folder, write_durably
from arcbed_agent.himds.state import rfc3339
from arcbed_agent.host.layout import Layout

#: Bytes of a G5 or G6 body; ``docs/wire.md`` section 4.4.
BODY_LIMIT: Final = 102_400
_SHORT: Final = 1_024
_DISPLAY: Final = {SUCCEEDED: "Provisioning succeeded", FAILED: "Provisioning failed"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of an operation.

    Args:
        state: ``Succeeded`` or ``Failed``.
        code, level, message: ARM's `instanceView.status`.
        version: that is installed now.
        exit: of the last command.
        stdout, stderr: tails of what it printed.
        substatuses: of the handler's status file.
        governance: what its commands used.
    """

    state: str
    code: str
    message: str
    level: str = "Information"
    version: str = ""
    exit: int | None = None
    stdout: str = ""
    stderr: str = ""
    substatuses: tuple[dict[str, Any], ...] = ()
    governance: Mapping[str, Any] = field(default_factory=dict)

    def document(self, goal: Goal, now: datetime) -> dict[str, Any]:
        """What is kept of it, in the words of the wire."""
        kept: dict[str, Any] = {
            "state": self.state,
            "sequenceNumber": goal.sequence,
            "typeHandlerVersion": self.version or goal.version,
            "instanceView": {
                "code": self.code,
                "level": self.level,
                "displayStatus": _DISPLAY[self.state],
                "message": self.message,
                "time": rfc3339(now),
            },
            "substatuses": list(self.substatuses),
            "operationId": goal.operation_id,
        }
        if self.exit is not None:
            kept["exitCode"] = self.exit
        if self.exit is not None or self.stdout or self.stderr:
            kept |= {"stdoutTail": self.stdout, "stderrTail": self.stderr}
        if self.governance:
            kept["governance"] = dict(self.governance)
        return kept


def of_status(found: Status, version: str, governance: Mapping[str, Any]) -> Outcome:
    """An enable whose handler has said how it went."""
    failed = found.status == status.ERROR
    level = {status.ERROR: "Error", status.WARNING: "Warning"}.get(found.status, "Information")
    return Outcome(
        state=FAILED if failed else SUCCEEDED,
        code=str(found.code),
        level=level,
        message=message_of(found),
        version=version,
        substatuses=tuple(item.document() for item in found.substatuses),
        governance=governance,
    )


def message_of(found: Status) -> str:
    """The message of a status with those of its parts."""
    lines = [f"Extension Message: {found.message}"]
    lines += [f"{part.name or 'substatus'}: {part.status}: {part.message}" for part in found.substatuses]
    return "\n".join(lines)


def done(message: str, version: str, governance: Mapping[str, Any] | None = None) -> Outcome:
    """An operation that the handler has nothing to say about."""
    return Outcome(
        state=SUCCEEDED, code="success", message=message, version=version, governance=governance or {}
    )


def of_failure(error: OperationError, version: str, governance: Mapping[str, Any]) -> Outcome:
    """An operation that has failed."""
    return Outcome(
        state=FAILED,
        code=str(error.code),
        level="Error",
        message=error.message,
        version=version,
        exit=error.exit,
        stdout=error.stdout,
        stderr=error.stderr,
        governance=governance,
    )


def check(ended: Ended, command: str, line: str) -> None:
    """Raise what a command that did not end with 0 means.

    Raises:
        OperationError: with the exit code, 1011 for a time-out, or the code of the command for a lost one.
    """
    stdout, stderr = ended.output.stdout_tail, ended.output.stderr_tail
    title = command.capitalize()
    if ended.timed_out:
        spent = f", CPU throttled for {ended.throttled:.1f} seconds" if ended.throttled else ""
        text = f"Timeout: {title} did not end in time{spent}: {line}\n{ended.output.text}"
        raise OperationError(failure.TIMEOUT, text, stdout=stdout, stderr=stderr)
    if ended.exit is None:
        text = f"{title} was interrupted and its result is not known: {line}"
        raise OperationError(failure.COMMANDS[command], text, stdout=stdout, stderr=stderr)
    if ended.exit:
        text = (
            f"Extension returned non-zero exit code for {title}: {ended.exit}. "
            f"Extension error output: {ended.output.text}"
        )
        raise OperationError(ended.exit, text, exit_code=ended.exit, stdout=stdout, stderr=stderr)


# -- bodies --------------------------------------------------------------------------------------------------


def final(extension: Extension, handler: Handler, result: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a G5 that ends an operation; `reportSeq` is added when it is sent."""
    kept = {key: value for key, value in result.items() if key != "operationId"}
    return {**kept, "phase": "Done", "handler": _handler(handler, extension)}


def progress(
    extension: Extension, handler: Handler, phase: str, message: str, now: datetime
) -> dict[str, Any]:
    """The body of a G5 on the way."""
    goal = extension.wanted
    return {
        "sequenceNumber": goal.sequence,
        "typeHandlerVersion": goal.version,
        "state": IN_PROGRESS,
        "phase": phase,
        "handler": _handler(handler, extension) | ({"status": "Installing"} if phase == "Installing" else {}),
        "substatuses": [],
        "instanceView": {
            "code": "0",
            "level": "Information",
            "displayStatus": phase,
            "message": message,
            "time": rfc3339(now),
        },
    }


def periodic(extension: Extension, handler: Handler, found: Status | None, now: datetime) -> dict[str, Any]:
    """The body of a G6: what the handler says now, or what it said last."""
    kept = {
        key: value
        for key, value in extension.result.items()
        if key in {"sequenceNumber", "typeHandlerVersion", "instanceView", "substatuses", "governance"}
    }
    if found is not None:
        view = of_status(found, handler.version, {}).document(extension.wanted, now)
        view["instanceView"]["displayStatus"] = found.status.capitalize()
        kept |= {"instanceView": view["instanceView"], "substatuses": view["substatuses"]}
    return {**kept, "handler": _handler(handler, extension)}


def _handler(handler: Handler, extension: Extension) -> dict[str, Any]:
    word = handler.status
    if extension.wanted.removal and handler.state == "NotInstalled":
        word = "NotInstalled"
    return {"status": word, "code": handler.code, "message": handler.message}


def shortened(body: Mapping[str, Any]) -> dict[str, Any]:
    """`body` in a form that the service accepts: ``docs/wire.md`` section 15.4."""
    short = {key: value for key, value in body.items() if key not in {"stdoutTail", "stderrTail"}}
    short["truncated"] = True
    parts = json.loads(json.dumps(short.get("substatuses") or []))
    for part in parts:
        message = (part.get("formattedMessage") or {}).get("message") or ""
        if len(message) > _SHORT:
            part["formattedMessage"]["message"] = message[:_SHORT]
    view = short.get("instanceView")
    if isinstance(view, dict) and len(str(view.get("message"))) > 4 * _SHORT:
        short["instanceView"] = {**view, "message": str(view["message"])[: 4 * _SHORT]}
    short["substatuses"] = parts
    while parts and len(json.dumps(short)) > BODY_LIMIT:
        parts.pop()
    return short


def fitting(body: Mapping[str, Any]) -> dict[str, Any]:
    """`body`, shortened if it is too large to be sent."""
    return dict(body) if len(json.dumps(body)) <= BODY_LIMIT else shortened(body)


def write_report(layout: Layout, goal: Goal, result: Mapping[str, Any]) -> None:
    """``extension_reports/<Publisher.Type>.json``, or with the name of one configuration of several."""
    folder = make_folder(layout["extension_reports"], mode=0o755)
    path = folder / report_name(goal)
    if goal.removal:
        path.unlink(missing_ok=True)
        return
    view = result["instanceView"]
    document = {
        "name": goal.name,
        "status": {
            "provisioningState": result["state"],
            "statusLevel": view["level"],
            "statusMessage": view["message"],
        },
    }
    write_durably(path, json.dumps(document, indent=2) + "\n", mode=0o644, power_loss=False)


def report_name(goal: Goal) -> str:
    """The file of an extension in ``extension_reports``."""
    return f"{goal.handler}.{goal.extension_name}.json" if goal.extension_name else f"{goal.handler}.json"
