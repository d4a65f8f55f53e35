"""The agent's side of the worker: it is started when needed, and ended when it takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import arcbed_agent
from arcbed_agent.clock import Clock, ClockTask
from arcbed_agent.config import LocalConfig
from arcbed_agent.files import make_folder
from arcbed_agent.himds.messages import socket_address
from arcbed_agent.host.layout import Layout

#: Real seconds for a fresh worker to connect. Beside what an earlier one left running it may be held to 1 %.
START_LIMIT: Final = 180.0
_LINE_LIMIT: Final = 1024 * 1024
_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Running(Protocol):
    """A process that was started; `asyncio.subprocess.Process` and `governor.Governed` are like that."""

    @property
    def pid(self) -> int:
        """Its process id."""

    @property
    def returncode(self) -> int | None:
        """None while it runs."""

    async def wait(self) -> int:
        """Its exit code."""


class ProcessRunner(Protocol):
    """Starts the worker, one at a time; `governed.GovernedProcesses` limits its CPU time."""

    async def open(self) -> None:
        """The daemon begins."""

    async def close(self) -> None:
        """The daemon ends."""

    async def start(self, command: Sequence[str], environment: Mapping[str, str]) -> Running:
        """Start `command`; its whole environment is `environment`.

        Raises:
            OSError: it cannot be started.
        """

    async def begin(self) -> None:
        """The worker is about to evaluate something."""

    async def end(self, running: Running) -> None:
        """End it with everything that it has started."""

    def used(self) -> Mapping[str, Any]:
        """Members of a report's `engine` about the CPU time since `begin`; empty where nothing is known."""

    async def follow(self, config: LocalConfig) -> None:
        """The machine's configuration has changed."""

    def accounts(self) -> Mapping[str, Mapping[str, Any]]:
        """What each group of processes that is limited together has used; empty where nothing is known."""


class PlainProcesses:
    """Processes without any limit, and without an account."""

    async def open(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing is left."""

    async def start(self, command: Sequence[str], environment: Mapping[str, str]) -> Running:
        """Start it in a session of its own."""
        return await asyncio.create_subprocess_exec(
            *command,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

    async def begin(self) -> None:
        """Nothing to set."""

    async def end(self, running: Running) -> None:
        """SIGKILL for its group; the worker's copies notice that it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, 9)
        await running.wait()

    def used(self) -> Mapping[str, Any]:
        """Nothing is known."""
        return {}

    async def follow(self, config: LocalConfig) -> None:
        """Nothing depends on it."""

    def accounts(self) -> Mapping[str, Mapping[str, Any]]:
        """Nothing is known."""
        return {}


@dataclass(frozen=True)
class Outcome:
    """How an evaluation ended.

    Args:
        code: 0, or 1 with `failure`; negative: the signal that ended it.
        answer: ``{"report": path}`` or ``{"code", "message"}``.
        cpu_seconds: of the evaluation.
        timed_out: it was ended because its time was over.
        used: members of a report's `engine` about CPU time, of all processes that took part.
    """

    code: int
    answer: Mapping[str, Any]
    cpu_seconds: float = 0.0
    timed_out: bool = False
    used: Mapping[str, Any] = field(default_factory=dict)


class WorkerGoneError(Exception):
    """The worker ended in the middle of an evaluation."""


class Workers:
    """One worker process, used for one evaluation at a time.

    Args:
        layout: where its socket goes and which root it works below.
        clock: the machine's time, for the time limit.
        name: of the clock's child, ``machine/gcad/worker``.
        runner: starts the process.
    """

    def __init__(self, layout: Layout, clock: Clock, name: str, runner: ProcessRunner) -> None:
        self._layout = layout
        self._clock = clock
        self._name = name
        self._runner = runner
        self._running: Running | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def run(
        self, task: ClockTask, arguments: Sequence[str], environment: Mapping[str, str], limit: timedelta
    ) -> Outcome:
        """Let the worker do one thing; `task` sleeps meanwhile.

        Raises:
            WorkerGoneError: it ended before it had answered, or could not be started.
        """
        deadline = self._clock.now() + limit
        async with self._clock.child(self._name) as variables:
            ended = asyncio.Event()
            asking = asyncio.ensure_future(self._ask(arguments, {**environment, **variables}))
            asking.add_done_callback(lambda _done: ended.set())
            try:
                in_time = await task.sleep_until(deadline, ended)
                if in_time or asking.done():
                    return await asking
            finally:
                if not asking.done():
                    asking.cancel()
                    await self.stop()
                    await asyncio.gather(asking, return_exceptions=True)
        return Outcome(-9, {}, timed_out=True, used=self.used())

    def used(self) -> Mapping[str, Any]:
        """Members of a report's `engine` about the CPU time of the evaluation that began last."""
        return self._runner.used()

    async def stop(self) -> None:
        """End the worker and whatever it is doing."""
        running, self._running = self._running, None
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None
        if running is not None:
            await self._runner.end(running)

    async def _ask(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Outcome:
        try:
            reader, writer = await self._connected()
            await self._runner.begin()
            request = {"arguments": list(arguments), "environment": dict(environment)}
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        except (OSError, TimeoutError, ValueError) as error:
            await self.stop()
            raise WorkerGoneError(f"The worker cannot be used: {error}") from error
        if not line:
            await self.stop()
            raise WorkerGoneError("The worker ended before it had answered.")
        said = json.loads(line)
        return Outcome(said["code"], said["answer"], said["cpuSeconds"], used=self.used())

    async def _connected(self) -> _Streams:
        if self._reader is None or self._writer is None or self._running is None:
            self._reader, self._writer = await self._start()
        return self._reader, self._writer

    async def _start(self) -> _Streams:
        path = make_folder(self._layout["sockets"], mode=0o750) / "gc_worker.sock"
        path.unlink(missing_ok=True)
        arrived: asyncio.Future[_Streams]
        arrived = asyncio.get_running_loop().create_future()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if arrived.done():
                writer.close()
            else:
                arrived.set_result((reader, writer))

        mask = os.umask(0o177)
        try:
            with socket_address(path) as address:
                server = await asyncio.start_unix_server(accept, address, limit=_LINE_LIMIT)
        finally:
            os.umask(mask)
        try:
            self._running = running = await self._runner.start(command(path), environment_of(self._layout))
            async with asyncio.timeout(START_LIMIT):
                return await _first(arrived, running)
        finally:
            server.close()
            path.unlink(missing_ok=True)


async def _first(arrived: asyncio.Future[_Streams], running: Running) -> _Streams:
    """What has arrived.

    Raises:
        OSError: the process has ended before anything did.
    """
    ended = asyncio.ensure_future(running.wait())
    try:
        either: set[asyncio.Future[Any]] = {arrived, ended}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if arrived.done():
            return arrived.result()
        raise OSError(f"it left with {ended.result()} before it had connected")
    finally:
        ended.cancel()


def command(path: Path) -> list[str]:
    """How the worker is started."""
    return [sys.executable, "-sP", "-m", "arcbed_agent.gcad.worker", "--serve", str(path)]


def environment_of(layout: Layout) -> dict[str, str]:
    """The worker's environment: the agent's own, and where this very agent's modules are."""
    modules = str(Path(arcbed_agent.__file__).parents[1])
    before = os.environ.get("PYTHONPATH")
    paths = f"{modules}:{before}" if before else modules
    return {**os.environ, "ARC_ROOT": str(layout.root), "PYTHONPATH": paths}
