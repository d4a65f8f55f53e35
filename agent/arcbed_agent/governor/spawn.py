"""Starting a command so that it waits at a gate until it is where it belongs.

A shell of a few kilobytes waits for a line on its input and then becomes the command, so the group is joined
before the command's first instruction; if the daemon dies in between, the shell ends. The command's own
input is empty. The shell costs about a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from arcbed_agent.governor.contract import GovernorError
from arcbed_agent.governor.processes import look

_GATE = 'read -r go || exit 125; exec "$@" </dev/null'
#: Called with the pid, its CPU seconds with those of its children, and those of its children.
Reaped = Callable[[int, float, float], None]


def program(name: str, environment: Mapping[str, str], cwd: Path | str | None) -> str:
    """The path of a program.

    Raises:
        FileNotFoundError: there is none, or it may not be run.
        PermissionError: `name` is a path to a file that may not be run.
    """
    if "/" not in name:
        found = shutil.which(name, path=environment.get("PATH", os.defpath))
        if found is None:
            raise FileNotFoundError(2, "no such program", name)
        return found
    path = Path(cwd or ".") / name
    if not path.exists():
        raise FileNotFoundError(2, "no such program", name)
    if not os.access(path, os.X_OK) or path.is_dir():
        raise PermissionError(13, "may not be run", name)
    return str(path) if cwd is None else str(path.absolute())


class Child:
    """A process at the gate, then the command. Made in the event loop's thread.

    Args:
        command: with the program's path first.
        prefix: what stands before the gate on the command line, such as systemd-run.
        reaped: told when the process was waited for.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        prefix: Sequence[str],
        environment: Mapping[str, str],
        stdout: int | None,
        stderr: int | None,
        cwd: Path | str | None,
        reaped: Reaped,
    ) -> None:
        behind, self._gate = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*prefix, "/bin/sh", "-c", _GATE, "gate", *command],
                stdin=behind,
                stdout=subprocess.DEVNULL if stdout is None else stdout,
                stderr=subprocess.DEVNULL if stderr is None else stderr,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
            )
        except OSError:
            os.close(self._gate)
            raise
        finally:
            os.close(behind)
        self.pid = self._process.pid
        self.returncode: int | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._reaped = reaped
        threading.Thread(target=self._attend, name=f"wait-{self.pid}", daemon=True).start()

    async def connect(self) -> None:
        """Make readers of the pipes that were asked for."""
        self.stdout = await self._reader(self._process.stdout)
        self.stderr = await self._reader(self._process.stderr)

    async def _reader(self, pipe: IO[bytes] | None) -> asyncio.StreamReader | None:
        if pipe is None:
            return None
        reader = asyncio.StreamReader(loop=self._loop)
        await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        return reader

    def release(self) -> None:
        """Open the gate."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._gate, b"\n")
        os.close(self._gate)

    def drop(self) -> None:
        """Close the gate: the process ends soon without having become the command."""
        os.close(self._gate)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    async def abandon(self) -> None:
        """Close the gate and wait until the process has ended."""
        self.drop()
        await self.wait()

    async def wait(self) -> int:
        """The exit code, negative for a signal."""
        await self._over.wait()
        if self.returncode is None:
            raise GovernorError(f"process {self.pid} ended and its exit code is lost")
        return self.returncode

    def _attend(self) -> None:
        """In a thread of its own: wait, have the account closed, then give the pid free."""
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            ended = look(self.pid)
            _, status, used = os.wait4(self.pid, 0)
            self._reaped(self.pid, seconds(used), ended.waited if ended else 0.0)
            self.returncode = self._process.returncode = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._over.set)


def seconds(used: resource.struct_rusage) -> float:
    """CPU seconds of a process that was waited for, with those of the children it had waited for."""
    return used.ru_utime + used.ru_stime
