"""Log files of the agent in the text form of logrus, without secrets.

``time="2022-09-30T10:04:09Z" level=debug msg="Requesting token" Method="SPN"``: the first token is the
time, levels are debug, info, warning, error and fatal, field names may hold blanks and are not quoted,
field values always are. Newlines are escaped. Shape: as in published azcmagent.log and himds.log files;
parsers look for ``level=fatal``.
"""

from __future__ import annotations

import gzip
import json
import logging
import logging.handlers
import os
import re
import shutil
from collections.abc import Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from arcbed_agent.clock import Clock

FATAL = logging.CRITICAL
_LEVELS = {"WARNING": "warning", "CRITICAL": "fatal"}
_CONCEALED = "[redacted]"
_SHORTEST = 4
#: Shapes of secrets inside any text: JWTs, authorization values, credentials in URLs, form fields, signatures
#: of shared access, keys.
_SHAPES = (
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), _CONCEALED),
    (re.compile(r"(?i)\b((?:bearer|basic|pop) )[\w.~+/=-]{8,}"), rf"\1{_CONCEALED}"),
    (re.compile(r"(\b\w+://)[^/@\s\"']+@"), rf"\1{_CONCEALED}@"),
    (
        re.compile(
            r"(?i)((?:client_secret|client_assertion|refresh_token|access_token|device_code|password)\\?\"?[=:]\s?\\?\"?)"
            r"[^&\s\"\\]+"
        ),
        rf"\1{_CONCEALED}",
    ),
    (re.compile(r"(?i)(sig(?:=|%3d|\\u003d))[\w%+/=.~-]{8,}"), rf"\1{_CONCEALED}"),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL),
        _CONCEALED,
    ),
)


class Redactor:
    """Knows this process's secrets by value and all others by shape."""

    def __init__(self) -> None:
        self._values: set[str] = set()

    def conceal(self, secret: str) -> None:
        """Never let `secret` into a log; values of fewer than four characters would blank ordinary text."""
        if len(secret) >= _SHORTEST:
            self._values.add(secret)

    def clean(self, text: str) -> str:
        """`text` without secrets."""
        for value in self._longest_first():
            text = text.replace(value, _CONCEALED)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return text

    def clean_piece(self, text: str, *, begun: bool = False, goes_on: bool = False) -> str:
        """`text`, cut out of a longer one, without secrets and without the parts of secrets at its ends.

        Args:
            text: the piece.
            begun: something came before it.
            goes_on: something comes after it.
        """
        text = self.clean(text)
        for value in self._longest_first():
            lengths = range(min(len(value), len(text)), _SHORTEST - 1, -1)
            if goes_on and (cut := next((n for n in lengths if text.endswith(value[:n])), 0)):
                text = text[:-cut] + _CONCEALED
            if begun and (cut := next((n for n in lengths if text.startswith(value[-n:])), 0)):
                text = _CONCEALED + text[cut:]
        return text

    def _longest_first(self) -> list[str]:
        """A value may be part of another one."""
        return sorted(self._values, key=len, reverse=True)


class LogrusFormatter(logging.Formatter):
    """One record, one line of logrus text."""

    def __init__(self, clock: Clock, redactor: Redactor) -> None:
        super().__init__()
        self._clock = clock
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Render `record`; `extra=fields(...)` becomes ``Name="value"`` pairs."""
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        moment = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        level = _LEVELS.get(record.levelname, record.levelname.lower())
        pairs = [f'time="{moment}"', f"level={level}", f"msg={self._quote(message)}"]
        pairs += [
            f"{name}={self._quote(str(value))}" for name, value in getattr(record, "fields", {}).items()
        ]
        return " ".join(pairs)

    def _quote(self, text: str) -> str:
        quoted = json.dumps(self._redactor.clean(text), ensure_ascii=False)
        if quoted.isprintable():
            return quoted
        # As Go's %q: other line separators and control characters are escaped too.
        return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in quoted)


def fields(pairs: Mapping[str, Any] | None = None, **more: Any) -> dict[str, dict[str, Any]]:
    """``log.debug("asking", extra=fields({"Request URL": url}, Method="SPN"))``."""
    return {"fields": {**(pairs or {}), **more}}


def open_log(
    path: Path,
    clock: Clock,
    *,
    redactor: Redactor | None = None,
    level: int = logging.DEBUG,
    max_bytes: int = 10 * 1024 * 1024,
    formatter: logging.Formatter | None = None,
    archives: int = 4,
) -> logging.Handler:
    """A handler that appends to `path`; `archives` old ones are kept as ``<name>.1.gz`` (agent 1.49).

    Raises:
        OSError: the file or its folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(path, maxBytes=max_bytes, backupCount=archives, encoding="utf-8")
    handler.namer = lambda name: f"{name}.gz"
    handler.rotator = _archive
    handler.setLevel(level)
    handler.setFormatter(formatter or LogrusFormatter(clock, redactor or Redactor()))
    return handler


class _LogFile(logging.handlers.RotatingFileHandler):
    """A log file that only root and the agent's group may read; so is the next one after a full one."""

    _formatted = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record`, formatted once; the base class does it twice, to see whether there is room."""
        try:
            self._formatted = super().format(record)
            super().emit(record)
        except Exception:  # noqa: BLE001 - as the base class has it
            self.handleError(record)
        finally:
            self._formatted = ""

    def format(self, record: logging.LogRecord) -> str:
        """The text of the record that is being written."""
        return self._formatted or super().format(record)

    def _open(self) -> TextIOWrapper:
        descriptor = _private(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return TextIOWrapper(os.fdopen(descriptor, "ab"), encoding=self.encoding, write_through=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o640)


def _archive(source: str, destination: str) -> None:
    descriptor = _private(destination, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with (
        Path(source).open("rb") as plain,
        os.fdopen(descriptor, "wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb") as packed,
    ):
        shutil.copyfileobj(plain, packed)
    os.unlink(source)  # noqa: PTH108 - the rotator's contract is strings
