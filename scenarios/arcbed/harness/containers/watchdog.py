"""A process that outlives a run only to clear up after it.

    python -m arcbed.harness.containers.watchdog BED [FOLDER]

It holds the reading end of a pipe whose other end is the run's. However the run ends, the kernel closes the
pipe; unless the run has said before that there is nothing left to do, everything with the bed's label is
taken away. Nobody needs to be alive for that, and nothing has to be privileged but the engine.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from docker.errors import DockerException

from arcbed.harness import clock
from arcbed.harness.containers import reaper
from arcbed.harness.containers.engine import connected
from arcbed.harness.errors import BedError

DONE = b"done\n"
#: An engine goes on with a request whose client has died, so what is not there yet may come.
QUIET_PASSES = 3
PASS_SECONDS = 1.0
LIMIT_SECONDS = 120.0


class Watchdog:
    """The run's end of the pipe.

    Args:
        bed: what to take away.
        folder: also to be taken away; None leaves no folder behind that would have to be.
    """

    def __init__(self, bed: str, folder: Path | None = None) -> None:
        command = [sys.executable, "-m", __name__, bed, *([str(folder)] if folder else [])]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def dismiss(self) -> None:
        """There is nothing left to clear up, or what is left is wanted."""
        with suppress(BrokenPipeError):
            self._process.communicate(DONE, timeout=10)


async def clear(bed: str) -> None:
    """Take away what belongs to `bed` until nothing more turns up."""
    client = connected()
    quiet = 0

    async def once() -> bool | None:
        nonlocal quiet
        with suppress(DockerException):
            quiet = 0 if await asyncio.to_thread(reaper.remove, client, bed) else quiet + 1
        return quiet >= QUIET_PASSES or None

    await clock.until(once, limit=LIMIT_SECONDS, every=PASS_SECONDS)


def main(arguments: list[str]) -> None:
    """Wait for the end of standard input, then clear up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    bed, *folders = arguments
    if sys.stdin.buffer.read() == DONE:
        return
    with suppress(BedError):
        asyncio.run(clear(bed))
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
