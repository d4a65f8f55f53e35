"""All that a person sees goes through here: level words, colours, progress, results."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import IO, Any

_COLORS = {"DEBUG": "37", "INFO": "36", "WARNING": "33", "ERROR": "31", "FATAL": "31"}
_BAR_WIDTH = 15


@dataclass
class Terminal:
    """Where output goes.

    Args:
        out: standard output.
        err: standard error.
        as_json: the result is one JSON document on `out`; messages then go to `err`, and only when asked for.
        log_stderr: messages go to `err`.
        verbose: print debug messages too.
        color: colour the level words.
    """

    out: IO[str]
    err: IO[str]
    as_json: bool = False
    log_stderr: bool = False
    verbose: bool = False
    color: bool = False
    _bar_open: bool = False

    def debug(self, text: str) -> None:
        """A line that only ``--verbose`` shows."""
        if self.verbose:
            self._message("DEBUG", text)

    def info(self, text: str) -> None:
        """What is happening."""
        self._message("INFO", text)

    def warning(self, text: str) -> None:
        """What a person should look at."""
        self._message("WARNING", text)

    def error(self, text: str) -> None:
        """What went wrong."""
        self._message("ERROR", text)

    def result(self, text: str) -> None:
        """What was asked for."""
        self.end_bar()
        self.out.write(f"{text}\n")

    def document(self, value: Any) -> None:
        """What was asked for, as JSON."""
        self.result(json.dumps(value, indent=2, ensure_ascii=False))

    def prompt(self, text: str) -> None:
        """What a person has to do now; it is shown in JSON mode as well, on standard error."""
        self.end_bar()
        stream = self._stream
        stream.write(f"{text}\n")
        stream.flush()

    def progress(self, percent: int, text: str) -> None:
        """A step's text, and on a terminal a bar below it that grows."""
        if self._quiet:
            return
        stream = self._stream
        if text:
            self.info(text)
        if not stream.isatty():
            return
        stream.write(f"\r{bar(percent)}")
        stream.flush()
        self._bar_open = percent < 100
        if percent >= 100:
            stream.write("\n")

    def end_bar(self) -> None:
        """Take the unfinished bar off its line; the next step draws it again."""
        if self._bar_open:
            self._stream.write("\r\x1b[K")
            self._bar_open = False

    def _message(self, level: str, text: str) -> None:
        if self._quiet:
            return
        self.end_bar()
        word = f"{level:<7} "
        if self.color:
            word = f"\x1b[{_COLORS[level]}m{word}\x1b[0m"
        for line in text.splitlines() or [""]:
            self._stream.write(f"{word}{line}\n")
        self._stream.flush()

    @property
    def _stream(self) -> IO[str]:
        return self.err if self.log_stderr or self.as_json else self.out

    @property
    def _quiet(self) -> bool:
        return self.as_json and not (self.log_stderr or self.verbose)


def bar(percent: int) -> str:
    """``  20% [==>            ]``."""
    filled = max(0, min(_BAR_WIDTH, percent * _BAR_WIDTH // 100))
    body = "=" * filled if filled == _BAR_WIDTH else "=" * (filled - 1) + (">" if filled else "")
    return f"{percent:4d}% [{body:<{_BAR_WIDTH}}]"
