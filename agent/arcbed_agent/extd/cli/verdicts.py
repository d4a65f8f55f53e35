"""The rules of the handler contract that a life cycle shows kept or broken."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from arcbed_agent.extd import status
from arcbed_agent.extd.secrets import words_of

KEPT: Final = "kept"
BROKEN: Final = "broken"
#: The life cycle did not come that far.
UNKNOWN: Final = "unknown"
#: What is asked of a handler, by rule. Rules that the manager keeps as well have the manager's names.
RULES: Final = {
    **{
        f"{command}.exit": f"{command} ends with 0 in time"
        for command in ("install", "enable", "disable", "uninstall", "update")
    },
    "status.written": "enable writes the status file of its sequence number",
    "status.shape": "the status file is an array whose first element has status.status",
    "status.words": "status.status is transitioning, warning, error or success",
    "status.success": "the operation succeeds",
    "heartbeat.file": "a handler with reportHeartbeat keeps heartbeat.log",
    "secrets.kept": "protected settings appear in no log and no status",
    "operation.ends": "every operation ends in time",
}


@dataclass(frozen=True)
class Verdict:
    """One rule.

    Args:
        rule: one of `RULES`.
        verdict: kept, broken or unknown.
        detail: what was seen.
        text: what the contract asks for.
    """

    rule: str
    verdict: str
    detail: str = ""
    text: str = ""

    @classmethod
    def of(cls, rule: str, *, kept: bool | None, detail: str = "") -> Verdict:
        """A verdict; None: the life cycle did not come that far."""
        word = UNKNOWN if kept is None else KEPT if kept else BROKEN
        return cls(rule, word, detail, RULES[rule])


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
        detail = f"ended with {', '.join(bad)}" if bad else ""
        found.append(Verdict.of(f"{command}.exit", kept=not bad if codes else None, detail=detail))
    return found


def of_status(path: Path, final: Mapping[str, Any]) -> list[Verdict]:
    """Whether the handler says how enable went, in the form that is read."""
    written = path.is_file()
    found = [Verdict.of("status.written", kept=written, detail=path.name)]
    if not written:
        return found
    try:
        read = status.read(path)
        problem = ""
    except status.UnreadableError as error:
        read, problem = None, error.status.message
    found.append(Verdict.of("status.shape", kept=not problem, detail=problem or path.name))
    if read is not None:
        word = _word(path)
        right = word.lower() in status.WORDS
        detail = path.name if right else f"{path.name}: '{word}' is read as error"
        found.append(Verdict.of("status.words", kept=right, detail=detail))
    message = str((final.get("instanceView") or {}).get("message") or "").partition("\n")[0]
    found.append(Verdict.of("status.success", kept=final.get("state") == "Succeeded", detail=message))
    return found


def _word(path: Path) -> str:
    with suppress(OSError, ValueError, KeyError, IndexError, TypeError):
        return str(json.loads(path.read_bytes().decode("utf-8-sig"))[0]["status"]["status"])
    return ""


def of_secrets(protected: Mapping[str, Any], folders: Iterable[Path]) -> Verdict:
    """Whether protected settings stay out of every file that the handler has written.

    Args:
        protected: the settings; what leaks is told by the name of its member.
        folders: where the handler has written.
    """
    words = {name: words_of(value) for name, value in protected.items()}
    leaks = set()
    for folder in folders:
        for path in folder.rglob("*"):
            with suppress(OSError):
                data = path.read_bytes() if path.is_file() else b""
                leaks |= {
                    f"{name} in {path.name}"
                    for name, texts in words.items()
                    if any(text.encode() in data for text in texts)
                }
    kept = not leaks if any(words.values()) else None
    return Verdict.of("secrets.kept", kept=kept, detail=", ".join(sorted(leaks)))


def of_heartbeat(folder: Path, *, promised: bool, wall: float) -> list[Verdict]:
    """Whether a handler that promises a heartbeat keeps one."""
    if not promised:
        return []
    pulse = status.read_heartbeat(folder / "heartbeat.log", wall)
    return [Verdict.of("heartbeat.file", kept=pulse.code != -1, detail=pulse.message)]
