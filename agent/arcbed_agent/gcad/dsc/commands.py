"""Programs that resources run: argument lists only, a fixed environment, a limit in real time."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Protocol

#: Limit of a program of the machine itself, in real seconds.
COMMAND_SECONDS = 60.0
#: How much of what a program prints is read.
OUTPUT_BYTES = 1_048_576

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "DEBIAN_FRONTEND": "noninteractive",
    "HOME": "/root",
}
#: `subprocess`'s way to say that a program does not exist, in a shell's number.
NOT_FOUND = 127


class CommandTimeout(Exception):  # noqa: N818 - named after what happened
    """A program that did not end in time and was killed with all it started."""


@dataclass(frozen=True)
class Output:
    """What a program said.

    Args:
        code: exit code; 127 when there is no such program, negative for a signal.
        out: standard output.
        error: standard error.
    """

    code: int
    out: str = ""
    error: str = ""

    @property
    def complaint(self) -> str:
        """One line for a reason."""
        lines = (self.error.strip() or self.out.strip()).splitlines()
        return lines[-1] if lines else f"exit code {self.code}"


class Commands(Protocol):
    """Whoever runs programs."""

    def run(
        self,
        words: Sequence[str],
        *,
        seconds: float = COMMAND_SECONDS,
        account: tuple[int, int] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Output:
        """Run a program to its end.

        Args:
            words: program and arguments; no shell.
            seconds: real seconds it may take.
            account: uid and gid to run as.
            environment: more variables.

        Raises:
            CommandTimeout: it was killed.
        """


class SystemCommands:
    """The machine's own programs."""

    def run(
        self,
        words: Sequence[str],
        *,
        seconds: float = COMMAND_SECONDS,
        account: tuple[int, int] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Output:
        """Run a program to its end."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
            try:
                process = subprocess.Popen(
                    list(words),
                    stdin=subprocess.DEVNULL,
                    # Files, not pipes: a daemon that the program leaves behind would keep a pipe open.
                    stdout=out,
                    stderr=error,
                    env=_ENVIRONMENT | dict(environment or {}),
                    cwd="/",
                    start_new_session=True,
                    user=account[0] if account else None,
                    group=account[1] if account else None,
                    extra_groups=[] if account else None,
                )
            except FileNotFoundError:
                return Output(NOT_FOUND, error=f"{words[0]}: not found")
            except OSError as problem:
                return Output(126, error=f"{words[0]}: {problem.strerror}")
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise CommandTimeout(f"{words[0]} did not end within {seconds:g} seconds") from None
            finally:
                if process.returncode is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            return Output(code, _text(out), _text(error))


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read(OUTPUT_BYTES).decode(errors="replace")
