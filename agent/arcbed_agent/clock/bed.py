"""The bed's clock as an agent's process sees it: the time keeper of the control plane, at the end of a line.

The process tells the keeper of each task whether it runs or until when it sleeps, and sleeps until the keeper
wakes it. It never lets the keeper believe that all sleep while one of its tasks is about to wake another.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

from arcbed_agent.clock.channel import Address, Hello, Line, introduce, persist
from arcbed_agent.clock.command import CHILD
from arcbed_agent.errors import AgentError

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
#: Turns of the event loop in which a task that went to sleep may wake another through an event.
_TURNS: Final = 4
_RECONNECT_SECONDS: Final = 0.1


def microseconds(instant: datetime) -> int:
    """Whole microseconds since 1970."""
    return (instant - EPOCH) // _MICROSECOND


def instant(count: int) -> datetime:
    """The time `count` microseconds after 1970."""
    return EPOCH + timedelta(microseconds=count)


class BedTask:
    """A loop whose process the keeper knows."""

    def __init__(self, clock: BedClock, number: int, name: str, *, child: bool) -> None:
        self.number = number
        self.name = name
        self.child = child
        self.awake = True
        self.holds = 0
        self.nap = 0
        self.deadline: int | None = None
        self.sleeper: asyncio.Future[bool] | None = None
        self._clock = clock

    async def __aenter__(self) -> Self:
        await self._clock.sync()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._clock._end(self)

    async def sleep_until(self, deadline: datetime | None, wake: asyncio.Event | None = None) -> bool:
        """Sleep until the keeper says that it is `deadline`, or until `wake` is set."""
        if wake is not None and wake.is_set():
            return True
        sleeper = self.sleeper = asyncio.get_running_loop().create_future()
        watcher: asyncio.Task[bool] | None = None
        if wake is not None:
            watcher = asyncio.ensure_future(wake.wait())
            watcher.add_done_callback(lambda _: self._clock._roused(self, sleeper))
        self._clock._sleep(self, None if deadline is None else microseconds(deadline))
        try:
            by_event = await sleeper
        except BaseException:
            self._clock._roused(self, sleeper)
            raise
        finally:
            self.sleeper = None
            if watcher is not None:
                watcher.cancel()
        if by_event:
            await self._clock.sync()
        return wake is not None and wake.is_set()

    async def sleep(self, seconds: float) -> None:
        """Sleep for `seconds` of the bed's time."""
        await self.sleep_until(self._clock.now() + timedelta(seconds=seconds))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold time while work that arrived from outside is done."""
        self.holds += 1
        self._clock._tell("hold", self.number)
        try:
            yield
        finally:
            self.holds -= 1
            self._clock._later("release", self.number)


class BedClock:
    """The bed's time.

    Attributes:
        machine: how task names begin.
        chance: seeded by the bed, another sequence for each start of each daemon.
    """

    def __init__(self, address: Address, hello: Hello) -> None:
        self._address = address
        self._hello = hello
        self._socket, answer = persist(address, hello)
        self.machine = hello.machine
        self.chance = random.Random(str(answer["seed"]))  # noqa: S311 - spreads and ids, not keys
        self._listeners: list[Callable[[], None]] = []
        self._frozen: int | None = None
        self._offset = timedelta()
        self._set_time(answer["now"], answer["offset"])
        self._line: Line | None = None
        self._tasks: dict[int, BedTask] = {}
        self._numbers = itertools.count(1)
        self._asleep: set[BedTask] = set()
        self._parting: list[tuple[Any, ...]] = []
        self._turns = 0
        self._questions: dict[int, asyncio.Future[None]] = {}
        self._reconnecting: asyncio.Task[None] | None = None
        self._timers: dict[BedTask, asyncio.TimerHandle] = {}

    @classmethod
    def open(cls, address: str, machine: str, daemon: str, *, token_file: str = "") -> Self:
        """Ask the keeper at `address`, a path or ``host:port``, for the time.

        Raises:
            AgentError: 6, it does not answer or refuses.
        """
        try:
            token = Path(token_file).read_text(encoding="utf-8").strip() if token_file else ""
        except OSError as error:
            raise AgentError(6, f"cannot read {token_file}: {error.strerror}") from error
        child = os.environ.get(CHILD, "")
        return cls(Address(address), Hello(machine, daemon, token=token, child=child))

    async def __aenter__(self) -> Self:
        await self._attach()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            await asyncio.gather(self._reconnecting, return_exceptions=True)
        line, self._line = self._line, None
        for timer in self._timers.values():
            timer.cancel()
        if line is not None:
            line.close()

    # -- reading -------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The bed's time."""
        return datetime.now(UTC) + self._offset if self._frozen is None else instant(self._frozen)

    @property
    def standing(self) -> datetime | None:
        """The bed's time while it stands still and is moved by hand; None while it flows."""
        return None if self._frozen is None else instant(self._frozen)

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever time stops or begins to flow."""
        self._listeners.append(listener)

    def wall(self) -> float:
        """Real epoch seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Real seconds for measuring durations."""
        return time.monotonic()

    # -- tasks ---------------------------------------------------------------------------------------------

    def task(self, name: str) -> BedTask:
        """Register a loop named ``machine/daemon/task``; it holds time at once."""
        return self._register(name)

    @asynccontextmanager
    async def child(self, name: str) -> AsyncIterator[dict[str, str]]:
        """Hold time for a process, from before it starts until the block ends."""
        task = self._register(name, child=True)
        try:
            await self.sync()
            yield {CHILD: name}
        finally:
            self._end(task)

    async def sync(self) -> None:
        """Return when the keeper has heard all that was said so far, with the time as it is there."""
        if self._line is None:
            return
        number = next(self._numbers)
        question = self._questions[number] = asyncio.get_running_loop().create_future()
        self._tell("sync", number)
        try:
            await question
        finally:
            self._questions.pop(number, None)

    # -- what tasks do -------------------------------------------------------------------------------------

    def _register(self, name: str, *, child: bool = False) -> BedTask:
        task = BedTask(self, next(self._numbers), name, child=child)
        self._tasks[task.number] = task
        self._tell("child" if child else "task", task.number, name)
        return task

    def _end(self, task: BedTask) -> None:
        self._asleep.discard(task)
        if self._tasks.pop(task.number, None) is not None:
            self._later("end", task.number)

    def _sleep(self, task: BedTask, deadline: int | None) -> None:
        """Said only after some turns of the loop: what this task has just set in motion counts first."""
        task.awake = False
        task.nap += 1
        task.deadline = deadline
        self._asleep.add(task)
        self._wait()

    def _later(self, *message: Any) -> None:
        """Say that something runs no more, as late as that a task sleeps."""
        self._parting.append(message)
        self._wait()

    def _wait(self) -> None:
        if not self._turns:
            asyncio.get_running_loop().call_soon(self._turn)
        self._turns = _TURNS

    def _turn(self) -> None:
        self._turns -= 1
        if self._turns > 0:
            asyncio.get_running_loop().call_soon(self._turn)
            return
        # In the order in which they were registered, so that one run is like the other.
        for task in sorted(self._asleep, key=lambda task: task.number):
            self._tell("sleep", task.number, task.nap, task.deadline)
            if self._line is None:
                self._on_own_time(task)
        self._asleep.clear()
        for message in self._parting:
            self._tell(*message)
        self._parting.clear()

    def _roused(self, task: BedTask, sleeper: asyncio.Future[bool]) -> None:
        """An event, or the end of its waiting, makes a task run."""
        if task.sleeper is not sleeper or task.awake:
            return
        task.awake = True
        if task in self._asleep:
            self._asleep.discard(task)
        else:
            self._tell("awake", task.number)
        self._cancel_timer(task)
        if not sleeper.done():
            sleeper.set_result(True)

    def _woken(self, task: BedTask) -> None:
        """Its deadline makes a task run."""
        task.awake = True
        self._cancel_timer(task)
        if task.sleeper is not None and not task.sleeper.done():
            task.sleeper.set_result(False)

    # -- the line ------------------------------------------------------------------------------------------

    def _tell(self, *message: Any) -> None:
        if self._line is not None:
            self._line.send(*message)

    async def _attach(self) -> None:
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: Line(self._heard, self._lost), sock=self._socket)
        self._line = line
        self._parting.clear()
        for task in list(self._timers):
            self._cancel_timer(task)
        # A task that is about to sleep still runs as far as the keeper knows.
        state = [
            [
                task.number,
                task.name,
                task.child,
                task.awake or task in self._asleep,
                task.holds,
                task.nap,
                task.deadline,
            ]
            for task in self._tasks.values()
        ]
        line.send("tasks", state)

    def _heard(self, message: list[Any]) -> None:
        match message:
            case ["wake", int(number), int(nap), int(now)]:
                if self._frozen is not None:
                    self._frozen = now
                task = self._tasks.get(number)
                if task is not None and task.nap == nap and not task.awake:
                    self._woken(task)
            case ["synced", int(number), now, offset]:
                self._set_time(now, offset)
                if (question := self._questions.get(number)) and not question.done():
                    question.set_result(None)
            case ["time", now, offset]:
                self._set_time(now, offset)
            case _:
                pass

    def _set_time(self, now: int | None, offset: int) -> None:
        turned = (self._frozen is None) != (now is None)
        self._frozen = now
        self._offset = timedelta(microseconds=offset)
        for listener in self._listeners if turned else ():
            listener()

    def _lost(self) -> None:
        """The keeper is away: standing time stands still, flowing time flows on without it."""
        if self._line is None:
            return
        self._line = None
        for question in self._questions.values():
            if not question.done():
                question.set_result(None)
        for task in self._tasks.values():
            if not task.awake and task not in self._asleep:
                self._on_own_time(task)
        self._reconnecting = asyncio.ensure_future(self._reconnect())

    def _on_own_time(self, task: BedTask) -> None:
        if self._frozen is not None or task.deadline is None:
            return
        seconds = max(0.0, (instant(task.deadline) - self.now()).total_seconds())
        self._cancel_timer(task)
        self._timers[task] = asyncio.get_running_loop().call_later(seconds, self._woken, task)

    def _cancel_timer(self, task: BedTask) -> None:
        if timer := self._timers.pop(task, None):
            timer.cancel()

    async def _reconnect(self) -> None:
        while True:
            await asyncio.sleep(_RECONNECT_SECONDS)
            hello = Hello(
                self._hello.machine,
                self._hello.daemon,
                token=self._hello.token,
                child=self._hello.child,
                fresh=False,
                now=self._frozen,
            )
            with suppress(OSError, ValueError, AgentError):
                self._socket, answer = await asyncio.to_thread(introduce, self._address, hello)
                self._set_time(answer["now"], answer["offset"])
                await self._attach()
                return
