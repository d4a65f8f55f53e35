"""Processes of a bed: started on a leash, logged to a file, stopped in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from arcbed.harness import clock
from arcbed.harness.errors import ProcessDiedError

LEASH = Path(__file__).with_name("leash.py")
GRACE = 5.0


@dataclass(frozen=True)
class Completed:
    """A command that has ended."""

    arguments: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def output(self) -> str:
        """Both streams, the way a person at the terminal would have seen them."""
        return self.stdout + self.stderr


def leashed(command: Sequence[str]) -> list[str]:
    """`command` so that it ends when this process does, however that ends."""
    return [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), *command]


async def run(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    limit: float = 120.0,
    stdin: str | None = None,
    shown: Sequence[str] | None = None,
) -> Completed:
    """Run `command` to its end; a process that outlasts `limit` real seconds is killed and gets exit code -9.

    `shown` replaces the command in the result where it holds secrets.
    """
    began = clock.monotonic()
    process = await asyncio.create_subprocess_exec(
        *leashed(command),
        env=dict(env),
        stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    talk = asyncio.ensure_future(process.communicate(stdin.encode() if stdin is not None else None))
    try:
        done, _ = await asyncio.wait({talk}, timeout=limit)
        if not done:
            _signal_group(process.pid, signal.SIGKILL)
        out, err = await talk
    except asyncio.CancelledError:
        _signal_group(process.pid, signal.SIGKILL)
        await asyncio.wait({talk})
        raise
    return Completed(
        tuple(shown or command),
        process.returncode if process.returncode is not None else -1,
        out.decode(errors="replace"),
        err.decode(errors="replace"),
        clock.monotonic() - began,
    )


class Child:
    """A daemon of the bed.

    Args:
        name: how people call it, for messages.
        command: program and arguments.
        env: its whole environment.
        log: file that gets what it prints, appended.
    """

    def __init__(self, name: str, command: Sequence[str], *, env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.command = tuple(command)
        self.env = dict(env)
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def alive(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """Its process id.

        Raises:
            ProcessDiedError: it is not running.
        """
        if self._process is None or self._process.returncode is not None:
            raise self.died()
        return self._process.pid

    async def start(self) -> None:
        """Start it; returns at once, ready or not."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *leashed(self.command),
                env=self.env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def stop(self) -> None:
        """Ask it to end, and end it after five seconds."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """End it without a word, as ``kill -9`` does."""
        await self._end(signal.SIGKILL)

    def died(self) -> ProcessDiedError:
        """The error that says it is gone, with the end of its log."""
        code = self._process.returncode if self._process else None
        how = "is not running" if code is None else f"ended with exit code {code}"
        return ProcessDiedError(f"{self.name} {how}\n{self.tail()}".rstrip())

    def tail(self) -> str:
        """The end of its log."""
        return tail(self.log)

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        _signal_group(process.pid, how)
        try:
            await asyncio.wait_for(process.wait(), GRACE)
        except TimeoutError:
            _signal_group(process.pid, signal.SIGKILL)
            await process.wait()


def tail(log: Path, lines: int = 20) -> str:
    """The end of a log, empty where there is none."""
    with suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    return ""


def _signal_group(pid: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, how)
