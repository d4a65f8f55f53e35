"""The rules of the handler contract that a life cycle shows kept or broken."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from arcbed_agent.extd import status

KEPT: Final = "kept"
BROKEN: Final = "broken"
#: The life cycle did not come that far.
UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Verdict:
    """One rule.

    Args:
        rule: short name, such as ``install.exit``.
        text: what the contract asks for.
        verdict: kept, broken or unknown.
        detail: what was seen.
    """

    rule: str
    text: str
    verdict: str
    detail: str = ""


@dataclass(frozen=True)
class Ran:
    """A command that has run: ``exit`` is its code, or ``time-out``."""

    version: str
    command: str
    exit: str


def of_commands(ran: Sequence[Ran], wanted: Iterable[str]) -> list[Verdict]:
    """Whether each command was run and ended with 0."""
    found = []
    for command in wanted:
        codes = [one.exit for one in ran if one.command == command]
        bad = [code for code in codes if code != "0"]
        verdict = UNKNOWN if not codes else BROKEN if bad else KEPT
        detail = f"ended with {', '.join(bad)}" if bad else ""
        found.append(Verdict(f"{command}.exit", f"{command} ends with 0 in time", verdict, detail))
    return found


def of_status(path: Path, final: Mapping[str, Any], sequence: int) -> list[Verdict]:
    """Whether the handler says how enable went, in the form that is read."""
    written = path.is_file()
    text = f"enable writes status/{path.name}"
    found = [Verdict(f"status.written.{sequence}", text, KEPT if written else BROKEN)]
    if not written:
        return found
    try:
        read = status.read(path)
        problem = ""
    except status.UnreadableError as error:
        read, problem = None, error.status.message
    found.append(
        Verdict(
            f"status.shape.{sequence}",
            "the status file is an array whose first element has status.status",
            BROKEN if problem else KEPT,
            problem,
        )
    )
    if read is not None:
        word = _word(path)
        right = word.lower() in status.WORDS
        found.append(
            Verdict(
                f"status.word.{sequence}",
                "status.status is transitioning, warning, error or success",
                KEPT if right else BROKEN,
                "" if right else f"'{word}' is read as error",
            )
        )
    succeeded = final.get("state") == "Succeeded"
    message = str((final.get("instanceView") or {}).get("message") or "").partition("\n")[0]
    verdict = KEPT if succeeded else BROKEN
    found.append(Verdict(f"status.success.{sequence}", "the operation succeeds", verdict, message))
    return found


def _word(path: Path) -> str:
    with suppress(OSError, ValueError, KeyError, IndexError, TypeError):
        return str(json.loads(path.read_bytes().decode("utf-8-sig"))[0]["status"]["status"])
    return ""


def of_secrets(words: Sequence[str], folders: Iterable[Path]) -> Verdict:
    """Whether protected settings stay out of every file that the handler has written."""
    leaks = []
    for folder in folders:
        for path in folder.rglob("*"):
            with suppress(OSError):
                if path.is_file() and any(word.encode() in path.read_bytes() for word in words):
                    leaks.append(path.name)
    verdict = UNKNOWN if not words else BROKEN if leaks else KEPT
    text = "protected settings appear in no log and no status"
    return Verdict("secrets.kept", text, verdict, ", ".join(sorted(set(leaks))))


def of_heartbeat(folder: Path, *, promised: bool, wall: float) -> list[Verdict]:
    """Whether a handler that promises a heartbeat keeps one."""
    if not promised:
        return []
    pulse = status.read_heartbeat(folder / "heartbeat.log", wall)
    verdict = KEPT if pulse.code != -1 else BROKEN
    text = "a handler with reportHeartbeat keeps heartbeat.log"
    return [Verdict("heartbeat.written", text, verdict, pulse.message)]
