"""Status files of handlers, with everything that real handlers write into them.

Only the first element of the array counts. Words other than the four are errors (Python handlers write
``failed``), codes may be texts or missing, `substatus` may be null and so may its items.

Source: Azure/WALinuxAgent, `exthandlers.py`; files of handlers in Azure/azure-linux-extensions and others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

TRANSITIONING: Final = "transitioning"
WARNING: Final = "warning"
ERROR: Final = "error"
SUCCESS: Final = "success"
WORDS: Final = frozenset({TRANSITIONING, WARNING, ERROR, SUCCESS})

#: Bytes of a status file, and of what is kept of one.
SIZE_LIMIT: Final = 128 * 1024
BAD_STATUS: Final = 1012
_QUOTED: Final = 2_000
_MESSAGE: Final = 1_024
_SUBSTATUS_TEXT: Final = 10 * 1024
_CUT: Final = " ... [TRUNCATED]"
_SIGNATURE: Final = re.compile(r"(?i)([?&;]sig=)[^&\s\"'\\]+")
#: The service's share of a body; `docs/wire.md` section 4.4.
_READ_LIMIT: Final = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Substatus:
    """One part of a handler's status."""

    name: str = ""
    status: str = ERROR
    code: int = 0
    message: str = ""

    def document(self) -> dict[str, Any]:
        """In the form of the status file."""
        return {
            "name": self.name,
            "status": self.status,
            "code": self.code,
            "formattedMessage": {"lang": "en-US", "message": self.message},
        }


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a handler says of one configuration.

    Args:
        status: one of `WORDS`.
        operation: what it was doing, as it says.
        code: its own.
        time: ``timestampUTC``.
        made: by the manager, because the handler has written none.
    """

    status: str
    code: int = 0
    message: str = ""
    operation: str = ""
    name: str = ""
    time: str = ""
    substatuses: tuple[Substatus, ...] = ()
    made: bool = False

    @property
    def final(self) -> bool:
        """Whether the handler has done what it was told, well or badly."""
        return self.status != TRANSITIONING


class UnreadableError(Exception):
    """A status file that may be half written; `status` is what to tell if it stays so."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status


def read(path: Path, clean: Callable[[str], str] = str) -> Status | None:
    """The status in `path`; None if there is no file.

    Args:
        path: the file.
        clean: takes secrets out of its texts, before any is shortened.

    Raises:
        UnreadableError: it cannot be read or is no status file; another try may help.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_READ_LIMIT)
    except FileNotFoundError:
        return None
    except OSError as error:
        text = f"The status file {path.name} cannot be read: {error.strerror}"
        raise UnreadableError(Status(status=ERROR, code=-1, message=text)) from error
    try:
        return parse(data, clean)
    except ValueError as error:
        quoted = redacted(clean(data.decode(errors="replace")))[:_QUOTED]
        text = f"The status file {path.name} cannot be used: {error}. It begins: {quoted}"
        raise UnreadableError(Status(status=ERROR, code=BAD_STATUS, message=text)) from error


def parse(data: bytes, clean: Callable[[str], str] = str) -> Status:
    """The status in `data`, shortened to what is passed on; `clean` as in `read`.

    Raises:
        ValueError: it is no JSON, or has another shape.
    """
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(document, list) or not document or not isinstance(document[0], dict):
        raise ValueError("it is not an array with an object")
    inner = document[0].get("status")
    if not isinstance(inner, dict) or not isinstance(inner.get("status"), str):
        raise ValueError("it has no status.status")  # noqa: TRY004 - one error for every bad shape
    found = Status(
        status=_word(inner["status"]),
        code=_code(inner.get("code")),
        message=_message(inner),
        operation=_text(inner.get("operation")),
        name=_text(inner.get("name")),
        time=_text(document[0].get("timestampUTC")),
        substatuses=_substatuses(inner.get("substatus")),
    )
    found = _cleaned(found, clean)
    return found if len(data) <= SIZE_LIMIT else _shortened(found)


def _cleaned(status: Status, clean: Callable[[str], str]) -> Status:
    parts = tuple(
        replace(one, name=clean(one.name), message=clean(one.message)) for one in status.substatuses
    )
    return replace(status, name=clean(status.name), message=clean(status.message), substatuses=parts)


def missing(sequence: int) -> Status:
    """What is told while the handler has written nothing."""
    text = f"The extension has not reported a status for sequence number {sequence} yet (made by the agent)"
    return Status(status=TRANSITIONING, message=text, made=True)


def redacted(text: str) -> str:
    """`text` without shared access signatures."""
    return _SIGNATURE.sub(r"\1[redacted]", text)


def _word(value: str) -> str:
    word = value.strip().lower()
    return word if word in WORDS else ERROR


def _code(value: object) -> int:
    """Numbers, and texts that are numbers; anything else is 0."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value == value and abs(value) < 2**31:  # noqa: PLR0124 - NaN is not itself
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,9}\s*", value):
        return int(value)
    return 0


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _message(document: dict[str, Any]) -> str:
    """Raises ValueError when `formattedMessage` is there and not whole."""
    formatted = document.get("formattedMessage")
    if formatted is None:
        return ""
    if not isinstance(formatted, dict) or "message" not in formatted or "lang" not in formatted:
        raise ValueError("formattedMessage has no lang or no message")
    value = formatted["message"]
    return redacted(value if isinstance(value, str) else json.dumps(value))


def _substatuses(value: object) -> tuple[Substatus, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError("substatus is no array")  # noqa: TRY004 - as above
    return tuple(_substatus(item) for item in value if item is not None)


def _substatus(item: object) -> Substatus:
    if not isinstance(item, dict) or not isinstance(item.get("status"), str):
        raise ValueError("a substatus has no status")  # noqa: TRY004 - as above
    word = item["status"].strip().lower()
    if word not in WORDS:
        raise ValueError(f"a substatus has the unknown status '{word[:40]}'")
    return Substatus(
        name=_text(item.get("name")), status=word, code=_code(item.get("code")), message=_message(item)
    )


def _shortened(status: Status) -> Status:
    """A file over the limit: texts are cut, then the list ends where the limit is reached."""
    left, kept = SIZE_LIMIT, []
    for item in status.substatuses:
        short = replace(
            item, name=_cut(item.name, _SUBSTATUS_TEXT), message=_cut(item.message, _SUBSTATUS_TEXT)
        )
        left -= len(json.dumps(short.document()))
        if left < 0:
            break
        kept.append(short)
    return replace(status, message=_cut(status.message, _MESSAGE), substatuses=tuple(kept))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + _CUT


# -- heartbeat -----------------------------------------------------------------------------------------------

#: Real seconds after which a heartbeat is too old: the kernel stamps the file.
STALE: Final = 600.0


@dataclass(frozen=True)
class Pulse:
    """What a handler's heartbeat file says; it replaces the handler's status."""

    status: str
    code: int
    message: str


def read_heartbeat(path: Path, wall: float) -> Pulse:
    """The heartbeat file of a handler whose manifest promises one.

    Args:
        path: ``heartbeat.log``.
        wall: real epoch seconds now.
    """
    try:
        if wall - path.stat().st_mtime > STALE:
            return Pulse("Unresponsive", -1, "Extension heartbeat is not responding")
        document = json.loads(path.read_bytes())
        inner = document[0]["heartbeat"]
        words = {"ready": "Ready", "notready": "NotReady"}
        word = words[str(inner["status"]).lower()]
        return Pulse(word, _code(inner.get("code")), _message(inner))
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        return Pulse("NotReady", -1, f"The heartbeat file cannot be used: {type(error).__name__} {error}")
