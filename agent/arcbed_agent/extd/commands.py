"""Running one command of a handler, at most once, whatever happens to this daemon meanwhile.

A small shell claims the run by making a file, runs the command and leaves its exit code in another. A daemon
that was killed finds both at its next start: it waits for a command that still runs, takes the code of one
that has ended, and can start one that was never claimed. A second shell for the same run finds the claim and
does nothing, and so does one that comes when the run is over: a run is open while a third file is there.

Call, session, time-outs and texts: Azure/WALinuxAgent, `exthandlers.py` and `extensionprocessutil.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from arcbed_agent.clock import Clock, ClockTask
from arcbed_agent.extd import output
from arcbed_agent.extd.output import Output
from arcbed_agent.governor import Governed, Governor, Limit
from arcbed_agent.logging import Redactor

#: Seconds of the machine's time.
TIMEOUTS: Final[Mapping[str, int]] = {
    "install": 900, "enable": 300, "update": 900, "disable": 900, "uninstall": 300
}  # fmt: skip
#: Real seconds that a command which has failed is given to finish its output: shims print through `tee`.
LINGER: float = 1.0
#: What carries a run: its path without ending, then the command.
CARRIER: Final = """
run=$1; shift
(set -C; echo $$ > "$run.claim") 2>/dev/null || exit 125
[ -e "$run.open" ] || { rm "$run.claim"; exit 125; }
"$@"
code=$?
echo $code > "$run.exit"
exit $code
"""


@dataclass(frozen=True)
class Call:
    """A command to run.

    Args:
        run: path without ending; what tells this run from all others.
        words: the command.
        environment: the whole of it.
        folder: the handler's.
        group: of the governor.
        limit: of the group.
        seconds: time limit.
    """

    run: Path
    words: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    group: str
    limit: Limit
    seconds: float


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Args:
        exit: its code; None: nobody knows, it was cut short together with this daemon.
        output: what it printed; empty if this daemon was not there.
        timed_out: it was killed because its time was over.
        governance: what it used, for reports.
        adopted: it was started by an earlier start of this daemon.
    """

    exit: int | None
    output: Output = field(default_factory=Output)
    timed_out: bool = False
    governance: Mapping[str, Any] = field(default_factory=dict)
    adopted: bool = False

    @property
    def throttled(self) -> float:
        """Seconds that it was kept from running."""
        return float(self.governance.get("throttledSeconds") or 0.0)


class _Waits(Protocol):
    async def wait(self) -> int:
        """Return when it has ended."""


class Commands:
    """Runs commands, one at a time.

    Args:
        clock: the machine's time, which stands while a command runs.
        name: of the clock's child, ``machine/extd/command``.
        governor: starts processes.
        redactor: keeps secrets out of what is kept of their output.
    """

    def __init__(self, clock: Clock, name: str, governor: Governor, redactor: Redactor) -> None:
        self._clock = clock
        self._name = name
        self._governor = governor
        self._redactor = redactor

    async def run(self, task: ClockTask, call: Call, *, begun: datetime) -> Ended:
        """Run `call`, or find out what became of it; `task` sleeps meanwhile.

        Args:
            task: of the loop that waits.
            call: the command.
            begun: when it was decided to run it: its time counts from there.

        Raises:
            OSError: it cannot be started.
        """
        deadline = begun + timedelta(seconds=call.seconds)
        if _claim(call.run):
            return await self._adopt(task, call.run, deadline)
        call.run.with_name(f"{call.run.name}.open").touch()
        with output.captured(call.folder) as files:
            async with self._clock.child(self._name) as variables:
                governed = await self._launch(call, variables, *files)
                in_time = await self._wait(task, governed, governed.pid, deadline)
                if in_time and governed.returncode:
                    await _drained(*files)
            if in_time and _claim(call.run) != governed.pid:
                return await self._adopt(task, call.run, deadline)  # another shell had claimed the run
            return Ended(
                None if not in_time else governed.returncode,
                output.read(*files, self._redactor),
                timed_out=not in_time,
                governance=governed.usage().document(),
            )

    async def _launch(
        self, call: Call, variables: Mapping[str, str], stdout: BinaryIO, stderr: BinaryIO
    ) -> Governed:
        return await self._governor.launch(
            ["/bin/sh", "-c", CARRIER, "arc-extension", str(call.run), *call.words],
            name=call.group,
            limit=call.limit,
            environment={**call.environment, **variables},
            stdout=stdout.fileno(),
            stderr=stderr.fileno(),
            cwd=call.folder,
        )

    async def adopt(self, task: ClockTask, run: Path, begun: datetime) -> Ended:
        """Wait for what an earlier start has begun, if it has."""
        return await self._adopt(task, run, begun + timedelta(seconds=max(TIMEOUTS.values())))

    async def _adopt(self, task: ClockTask, run: Path, deadline: datetime) -> Ended:
        """What an earlier start of this daemon has begun."""
        pid = _alive(run)
        if not pid or exit_code(run) is not None:
            return Ended(exit_code(run), adopted=True)
        async with self._clock.child(self._name):
            in_time = await self._wait(task, _Stranger(pid), pid, deadline)
        return Ended(exit_code(run) if in_time else None, timed_out=not in_time, adopted=True)

    async def _wait(self, task: ClockTask, process: _Waits, group: int, deadline: datetime) -> bool:
        """Whether it ended in time; killed if not, with its process group."""
        over = asyncio.Event()
        waiting = asyncio.ensure_future(process.wait())
        waiting.add_done_callback(lambda _: over.set())
        try:
            in_time = await task.sleep_until(deadline, over) or waiting.done()
            if not in_time:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)
            await waiting
        finally:
            waiting.cancel()
        return in_time


class _Stranger:
    """A process that this daemon has not started."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    async def wait(self) -> int:
        """Return when it has ended."""
        try:
            descriptor = os.pidfd_open(self._pid)
        except ProcessLookupError:
            return 0
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return 0


async def _drained(*files: BinaryIO) -> None:
    """Wait, not for long, until nobody can write to `files` any more."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            for pid in output.writers(*files):
                await _Stranger(pid).wait()


def _claim(run: Path) -> int:
    """The process that has claimed the run; 0: none. A claim is one short write."""
    with suppress(OSError, ValueError):
        return int(run.with_name(f"{run.name}.claim").read_text() or "-1")
    return 0


def _alive(run: Path) -> int:
    """The process that carries the run, 0 if it has ended."""
    pid = _claim(run)
    with suppress(OSError):
        if str(run).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return 0


def exit_code(run: Path) -> int | None:
    """The code that a run has left."""
    with suppress(OSError, ValueError):
        text = run.with_name(f"{run.name}.exit").read_text()
        return int(text) if text.endswith("\n") else None
    return None


def prevent(run: Path) -> bool:
    """Claim a run that nothing has claimed, so that it never begins; False: it has begun."""
    with suppress(FileExistsError):
        run.with_name(f"{run.name}.claim").open("x").close()
        return True
    return False


def forget(run: Path) -> None:
    """Remove what a run has left."""
    for ending in ("open", "claim", "exit"):
        run.with_name(f"{run.name}.{ending}").unlink(missing_ok=True)
