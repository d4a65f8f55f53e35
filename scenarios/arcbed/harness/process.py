"""Processes of a bed: started on a leash, logged to a file, stopped in order."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from arcbed.harness import clock
from arcbed.harness.errors import ProcessDiedError

T = TypeVar("T")
LEASH = Path(__file__).with_name("leash.py")
GRACE = 10.0


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
    shown: Sequence[str] | None = None,
    terminal: bool = False,
) -> Completed:
    """Run `command` to its end; a process that outlasts `limit` real seconds is killed and gets exit code -9.

    Args:
        command: program and arguments.
        env: its whole environment.
        limit: real seconds.
        shown: replaces the command in the result where it holds secrets.
        terminal: let it write to a terminal; both streams are then `stdout`, without colours.
    """
    began = clock.monotonic()
    out, err, exit_code = await (_on_terminal if terminal else _on_pipes)(leashed(command), env, limit)
    return Completed(tuple(shown or command), exit_code, out, err, clock.monotonic() - began)


async def _on_pipes(command: Sequence[str], env: Mapping[str, str], limit: float) -> tuple[str, str, int]:
    pipe = asyncio.subprocess.PIPE
    process = await _spawn(command, env, pipe, pipe)
    out, err = await _bounded(process, process.communicate(), limit)
    return out.decode(errors="replace"), err.decode(errors="replace"), _code(process)


async def _on_terminal(command: Sequence[str], env: Mapping[str, str], limit: float) -> tuple[str, str, int]:
    ours, theirs = os.openpty()
    try:
        try:
            process = await _spawn(command, env, theirs, theirs)
        finally:
            os.close(theirs)

        async def talk() -> bytes:
            written = await asyncio.to_thread(_drained, ours)
            await process.wait()
            return written

        written = await _bounded(process, talk(), limit)
    finally:
        os.close(ours)
    return on_screen(written.decode(errors="replace")), "", _code(process)


async def _spawn(
    command: Sequence[str], env: Mapping[str, str], out: int, err: int
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
    )


async def _bounded(process: asyncio.subprocess.Process, talk: Coroutine[Any, Any, T], limit: float) -> T:
    """What `talk` gives; the process is killed after `limit` seconds, or when nobody waits any more."""
    talking = asyncio.ensure_future(talk)
    try:
        done, _ = await asyncio.wait({talking}, timeout=limit)
        if not done:
            _signal_group(process.pid, signal.SIGKILL)
        return await talking
    except asyncio.CancelledError:
        _signal_group(process.pid, signal.SIGKILL)
        await asyncio.wait({talking})
        raise


def _code(process: asyncio.subprocess.Process) -> int:
    return process.returncode if process.returncode is not None else -1


def _drained(terminal: int) -> bytes:
    """All that is written to a terminal until nobody holds its other end; Linux says so with EIO."""
    written = b""
    with suppress(OSError):
        while more := os.read(terminal, 65_536):
            written += more
    return written


def on_screen(written: str) -> str:
    """What stays to be read of what was written to a terminal: no colours, no overwritten text."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written).replace("\r\n", "\n")
    return "\n".join(line.rpartition("\r")[2] for line in plain.split("\n"))


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
        """Ask it to end, and end it after ten seconds."""
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


def tail(log: Path, lines: int = 20, *, begin: int = 0) -> str:
    """The end of a log, empty where there is none; nothing of what stands before the byte `begin`."""
    with suppress(OSError):
        text = log.read_bytes()[begin:].decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])
    return ""


def _signal_group(pid: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, how)
