"""An in-process time keeper.

Every loop that waits is a *task* of the keeper: it runs, or it sleeps until a deadline. The keeper moves time
only while every task sleeps, and then only to the earliest deadline, so that `advance(days=14)` meets every
heartbeat and every timer in order. Tasks and timers wake one at a time, ordered by (deadline, name).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

import structlog

_log = structlog.get_logger(__name__)

Mode = Literal["live", "stepped"]
Callback = Callable[[], Awaitable[None] | None]


_SWEEP_FROM = 1_000


class ClockStalledError(RuntimeError):
    """A task kept time from moving for longer than its real-time grace; the message names it."""


class _Sleeper:
    """One entry of the heap: a sleeping task, or a timer with its callback."""

    __slots__ = ("callback", "deadline", "gone", "name", "place", "wake")

    def __init__(self, deadline: datetime, name: str, order: int, wake: asyncio.Event | None) -> None:
        self.deadline = deadline
        self.name = name
        self.place = (deadline, name.split("/"), order)
        self.wake = wake
        self.callback: Callback | None = None
        self.gone = False

    def __lt__(self, other: _Sleeper) -> bool:
        return self.place < other.place


class KeeperTask:
    """A registered loop. It counts as running from its construction until it sleeps or leaves.

    Use it as an async context manager. Names are ``machine/daemon/task``.
    """

    def __init__(self, keeper: Keeper, name: str) -> None:
        self.name = name
        self._keeper = keeper
        self._depth = 0
        keeper._start(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._keeper._leave(self)

    async def sleep_until(self, deadline: datetime | None, wake: asyncio.Event | None = None) -> bool:
        """Sleep until `deadline` (None: for ever) or until `wake` is set; True if it was the event.

        The task counts as running again from the moment it is woken, not from when it is next scheduled.
        """
        return await self._keeper._sleep(self, deadline, wake)

    async def sleep(self, seconds: float) -> None:
        """Sleep for `seconds` of the bed's time."""
        await self.sleep_until(self._keeper.now() + timedelta(seconds=seconds))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold time while work that arrived from outside (a request, a push) is done by a sleeping task."""
        self._keeper._start(self)
        try:
            yield
        finally:
            self._keeper._stop(self)


class Keeper:
    """Owns *now* (timezone-aware UTC).

    Args:
        mode: ``live`` flows at wall speed and can be advanced; ``stepped`` stands still until advanced.
        start: the first instant of a stepped clock; a live clock starts at the wall clock.
        grace: real seconds that a task may run while time waits for it, before `ClockStalledError`.
    """

    def __init__(self, mode: Mode = "live", *, start: datetime | None = None, grace: float = 30.0) -> None:
        self.mode: Mode = mode
        self.grace = grace
        self._offset = (start - self._wall_now()) if start is not None else timedelta()
        self._frozen: datetime | None = self._wall_now() + self._offset if mode == "stepped" else None
        if start is not None and mode == "stepped":
            self._frozen = start
        self._heap: list[_Sleeper] = []
        self._forgotten = 0
        self._order = itertools.count()
        self._running: dict[KeeperTask, int] = {}
        self._timers: dict[str, _Sleeper] = {}
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._changed = asyncio.Event()
        self._driver: asyncio.Task[None] | None = None
        self._advancing = asyncio.Lock()

    # -- reading -------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The bed's time."""
        return self._frozen if self._frozen is not None else self._wall_now() + self._offset

    def wall(self) -> float:
        """Real time in epoch seconds: for sockets, TLS and token lifetimes as unmodified SDKs see them."""
        return time.time()

    def monotonic(self) -> float:
        """Real seconds for measuring durations."""
        return time.monotonic()

    @property
    def running(self) -> list[str]:
        """Names of the tasks that hold time now."""
        return sorted(task.name for task in self._running)

    # -- tasks and timers ----------------------------------------------------------------------------------

    def task(self, name: str) -> KeeperTask:
        """Register a loop named ``machine/daemon/task``; it holds time at once."""
        return KeeperTask(self, name)

    @asynccontextmanager
    async def child(self, name: str) -> AsyncIterator[dict[str, str]]:
        """Hold time for a process that the block starts and waits for; it needs no variables."""
        async with self.task(name):
            yield {}

    def call_at(self, due: datetime, key: str, callback: Callback) -> None:
        """Run `callback` when the bed reaches `due`; a second call with the same `key` replaces the first."""
        self.cancel(key)
        entry = self._push(due, key, None)
        entry.callback = callback
        self._timers[key] = entry

    def cancel(self, key: str) -> None:
        """Forget the timer `key`; unknown keys are fine."""
        if entry := self._timers.pop(key, None):
            self._forget(entry)

    def due(self, key: str) -> datetime | None:
        """When the timer `key` will fire, or None."""
        entry = self._timers.get(key)
        return entry.deadline if entry else None

    # -- moving --------------------------------------------------------------------------------------------

    async def advance(self, delta: timedelta | None = None, **parts: float) -> None:
        """Move the bed by `delta` (or ``days=``, ``hours=``, ``seconds=``); returns when settled.

        Raises:
            ClockStalledError: a task ran for longer than the grace; time stays where it was.
        """
        async with self._advancing:
            target = self.now() + (delta or timedelta()) + timedelta(**parts)
            await self._settled()
            frozen, self._frozen = self._frozen, self.now()
            try:
                while entry := self._pop_due(target):
                    self._frozen = max(self._frozen, entry.deadline)
                    await self._fire(entry)
                self._frozen = max(self._frozen, target)
            finally:
                if frozen is None:
                    self._offset = self._frozen - self._wall_now()
                    self._frozen = None
                    self._changed.set()

    def move_to(self, instant: datetime) -> None:
        """Set the bed's time, also backwards: for a restored state, whose timers are set anew."""
        if self._frozen is not None:
            self._frozen = instant
        else:
            self._offset = instant - self._wall_now()
        self._changed.set()

    async def settled(self) -> None:
        """Wait until every task sleeps."""
        await self._settled()

    async def run(self) -> None:
        """Wake live sleepers and timers as wall time passes; runs until cancelled."""
        while True:
            self._changed.clear()
            async with self._advancing:
                while self._frozen is None and (entry := self._pop_due(self.now())):
                    await self._fire_live(entry)
            pause: float | None = None
            if self._frozen is None and (entry := self._peek()):
                pause = max(0.0, (entry.deadline - self.now()).total_seconds())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause)

    # -- internals -----------------------------------------------------------------------------------------

    @staticmethod
    def _wall_now() -> datetime:
        return datetime.now(UTC)

    def _start(self, task: KeeperTask) -> None:
        self._running[task] = self._running.get(task, 0) + 1
        self._quiet.clear()

    def _stop(self, task: KeeperTask) -> None:
        count = self._running.get(task, 0) - 1
        if count > 0:
            self._running[task] = count
            return
        self._running.pop(task, None)
        if not self._running:
            self._quiet.set()

    def _leave(self, task: KeeperTask) -> None:
        self._running.pop(task, None)
        if not self._running:
            self._quiet.set()

    def _push(self, deadline: datetime, name: str, wake: asyncio.Event | None) -> _Sleeper:
        entry = _Sleeper(deadline, name, next(self._order), wake)
        heapq.heappush(self._heap, entry)
        self._changed.set()
        return entry

    def _forget(self, entry: _Sleeper) -> None:
        """Entries leave the heap when they come up; far-off ones are swept once they are half of it."""
        entry.gone = True
        self._forgotten += 1
        if self._forgotten > _SWEEP_FROM and self._forgotten > len(self._heap) // 2:
            self._heap = [kept for kept in self._heap if not kept.gone]
            heapq.heapify(self._heap)
            self._forgotten = 0

    def _peek(self) -> _Sleeper | None:
        while self._heap and self._heap[0].gone:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None

    def _pop_due(self, target: datetime) -> _Sleeper | None:
        entry = self._peek()
        if entry is None or entry.deadline > target:
            return None
        return heapq.heappop(self._heap)

    async def _fire(self, entry: _Sleeper, *, wait: bool = True) -> None:
        if entry.callback is not None:
            if self._timers.get(entry.name) is entry:
                del self._timers[entry.name]
            result = entry.callback()
            if result is not None:
                await result
        elif entry.wake is not None:
            entry.wake.set()
        if wait:
            await self._settled()

    async def _fire_live(self, entry: _Sleeper) -> None:
        """A timer that breaks is its owner's fault and must not stop time for everybody else."""
        try:
            await self._fire(entry, wait=False)
        except Exception:  # noqa: BLE001 - see above
            _log.exception("timer_failed", timer=entry.name)

    async def _settled(self) -> None:
        try:
            async with asyncio.timeout(self.grace):
                while True:
                    await self._quiet.wait()
                    # An event set by a task just before it went to sleep reaches its sleeper in this turn.
                    await asyncio.sleep(0)
                    if not self._running:
                        return
        except TimeoutError:
            names = ", ".join(self.running)
            raise ClockStalledError(f"clock stalled: {names} running for {self.grace:g} s") from None

    async def _sleep(self, task: KeeperTask, deadline: datetime | None, wake: asyncio.Event | None) -> bool:
        if wake is not None and wake.is_set():
            return True
        alarm = _Alarm(self, task)
        entry: _Sleeper | None = None
        if deadline is not None:
            entry = self._push(deadline, task.name, alarm)
        watcher: asyncio.Task[None] | None = None
        if wake is not None:
            watcher = asyncio.get_running_loop().create_task(_forward(wake, alarm))
        self._stop(task)
        try:
            await alarm.wait()
        except BaseException:
            if not alarm.is_set():
                self._start(task)
            raise
        finally:
            if entry is not None:
                self._forget(entry)
            if watcher is not None:
                watcher.cancel()
        return wake is not None and wake.is_set()


class _Alarm(asyncio.Event):
    """An event that makes its task count as running at the instant it is set."""

    def __init__(self, keeper: Keeper, task: KeeperTask) -> None:
        super().__init__()
        self._keeper = keeper
        self._task = task

    def set(self) -> None:
        if not self.is_set():
            self._keeper._start(self._task)
        super().set()


async def _forward(source: asyncio.Event, target: asyncio.Event) -> None:
    await source.wait()
    target.set()
