"""A control plane that outlives the command that started it."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from arcbed.harness.errors import BedError
from arcbed.harness.process import tail
from arcbed.harness.process_backend import answers
from arcbed.harness.programs import environment, program, wait_ready

STOP_SECONDS = 10.0
#: A control plane that cannot write so many bytes does not start.
SMALLEST = 1_000_000


@dataclass(frozen=True)
class Running:
    """A control plane in the background."""

    pid: int
    url: str


class _Started:
    """A background process as `wait_ready` looks at one."""

    name = "fakecloud"

    def __init__(self, process: subprocess.Popen[bytes], log: Path, begin: int) -> None:
        self._process = process
        self._log = log
        self._begin = begin

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def died(self) -> BedError:
        said = self.tail() or self._silence()
        return BedError(f"fakecloud ended with exit code {self._process.returncode}\n{said}")

    def _silence(self) -> str:
        """Why it may have said nothing: a log that cannot be written to holds nothing."""
        full = shutil.disk_usage(self._log.parent).free < SMALLEST
        return f"the disk of {self._log.parent} is full" if full else f"{self._log} says no more"

    def kill(self) -> None:
        self._process.kill()

    def tail(self) -> str:
        return tail(self._log, begin=self._begin)


def find(state: Path) -> Running | None:
    """The control plane that runs on `state`, or None; a process id left by a crash is not taken for one."""
    with suppress(OSError, ValueError, KeyError):
        url = str(json.loads((state / "fakecloud.json").read_text())["url"])
        pid = int((state / "fakecloud.pid").read_text())
        if b"fakecloud" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return Running(pid, url)
    return None


async def start(state: Path, port: int) -> Running:
    """Start one on `state` and return when it is ready.

    Raises:
        BedError: it does not start; the message carries what it has logged.
        OSError: `state` cannot be written to.
    """
    started = _launch(state, port)
    try:
        await wait_ready(started, lambda: answers(state))
    except BaseException:
        started.kill()
        raise
    running = find(state)
    if running is None:
        raise BedError(f"fakecloud is ready, but {state} does not say where")
    return running


def _launch(state: Path, port: int) -> _Started:
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = state / "fakecloud.log"
    command = [program("fakecloud"), "serve", "--state", str(state), "--port", str(port)]
    with log.open("ab") as output:
        begin = output.tell()
        process = subprocess.Popen(
            command,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return _Started(process, log, begin)


def stop(running: Running) -> None:
    """Ask it to end and wait until it has.

    Raises:
        BedError: it is still there after ten real seconds.
    """
    try:
        handle = os.pidfd_open(running.pid)
    except ProcessLookupError:
        return
    try:
        os.kill(running.pid, signal.SIGTERM)
        if not select.select([handle], [], [], STOP_SECONDS)[0]:
            raise BedError(f"process {running.pid} does not end; kill it with: kill -9 {running.pid}")
    finally:
        os.close(handle)
