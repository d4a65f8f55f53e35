"""The time keeper.

Every loop that waits is a *task* of the keeper: it runs, or it sleeps until a deadline. The keeper moves time
only while every task sleeps, and then only to the earliest deadline, so that `advance(days=14)` meets every
heartbeat and every timer in order. Tasks and timers wake one at a time, ordered by (deadline, name).

Tasks of this process are `KeeperTask`s; those of other processes come through `arcbed_cloud.clock.channel`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

import structlog

from arcbed_cloud.clock.agenda import Agenda, Callback, Entry, Wakeable
from arcbed_cloud.clock.task import KeeperTask

_log = structlog.get_logger(__name__)

Mode = Literal["live", "stepped"]


class ClockStalledError(RuntimeError):
    """A task kept time from moving for longer than its real-time grace; the message names it."""


class Runner(Protocol):
    """Whatever runs or sleeps, in this process or in another."""

    name: str

    @property
    def deadline(self) -> datetime | None:
        """Until when it sleeps, while it does; None is for ever."""


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
        self._frozen: datetime | None = None
        if mode == "stepped":
            self._frozen = start or self._wall_now()
        self._agenda = Agenda()
        self._known: dict[Runner, None] = {}
        self._running: dict[Runner, int] = {}
        self._holds = 0
        self._timers: dict[str, Entry] = {}
        self._let_pass: tuple[str, ...] = ()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._changed = asyncio.Event()
        self._advancing = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []

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
    def standing(self) -> datetime | None:
        """The bed's time while it stands still; None while it flows, `offset` ahead of the wall clock."""
        return self._frozen

    @property
    def offset(self) -> timedelta:
        """How far a flowing clock is ahead of the wall clock."""
        return self._offset

    @property
    def running(self) -> list[str]:
        """Names of the tasks that hold time now."""
        return sorted(task.name for task in self._running if not self._passes(task))

    @property
    def waiting(self) -> list[tuple[str, datetime | None]]:
        """Sleeping tasks and timers with their deadlines, the next one first, those without one last."""
        listed = {(task.name, task.deadline) for task in self._known if task not in self._running}
        listed |= {(name, entry.deadline) for name, entry in self._timers.items()}
        far = datetime.max.replace(tzinfo=UTC)
        return sorted(listed, key=lambda entry: (entry[1] or far, entry[0]))

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
        entry = self.enter(due, key)
        entry.callback = callback
        self._timers[key] = entry

    def cancel(self, key: str) -> None:
        """Forget the timer `key`; unknown keys are fine."""
        if entry := self._timers.pop(key, None):
            self.strike(entry)

    def due(self, key: str) -> datetime | None:
        """When the timer `key` will fire, or None."""
        entry = self._timers.get(key)
        return entry.deadline if entry else None

    # -- what tasks do -------------------------------------------------------------------------------------

    def register(self, task: Runner) -> None:
        """Know a task, so that it can be named when somebody asks who waits."""
        self._known[task] = None

    def hold(self, task: Runner) -> None:
        """`task` runs once more."""
        self._running[task] = self._running.get(task, 0) + 1
        self._holds += 1
        self._quiet.clear()

    def release(self, task: Runner) -> None:
        """`task` runs once less; time may go on when nobody runs."""
        count = self._running.get(task, 0) - 1
        if count > 0:
            self._running[task] = count
            return
        self._running.pop(task, None)
        self._look()

    def drop(self, task: Runner) -> None:
        """`task` is gone, however often it ran."""
        self._known.pop(task, None)
        self._running.pop(task, None)
        self._look()

    def enter(self, deadline: datetime, name: str, wake: Wakeable | None = None) -> Entry:
        """Put something on the agenda."""
        entry = self._agenda.push(deadline, name, wake)
        self._changed.set()
        return entry

    def strike(self, entry: Entry) -> None:
        """Take it off again."""
        self._agenda.forget(entry)

    def let_pass(self, *names: str) -> None:
        """From now on tasks called so, or below, do not hold time; none: all do again."""
        self._let_pass = names
        self._quiet.clear()
        self._look()

    # -- moving --------------------------------------------------------------------------------------------

    async def advance(self, delta: timedelta | None = None, **parts: float) -> None:
        """Move the bed by `delta` (or ``days=``, ``hours=``, ``seconds=``); returns when settled.

        Raises:
            ClockStalledError: a task ran for longer than the grace; time stays where it was.
        """
        async with self._advancing:
            target = self.now() + (delta or timedelta()) + timedelta(**parts)
            async with self._still():  # first of all: who runs may do it faster where everybody waits for it
                await self._settled()
                while entry := self._agenda.pop(target):
                    await self._reach(entry)
                self._frozen = max(self.now(), target)

    async def step(self, limit: datetime) -> bool:
        """Go on to the next deadline, if there is one up to `limit`; True if there was.

        Raises:
            ClockStalledError: a task ran for longer than the grace.
        """
        async with self._advancing, self._still():
            await self._settled()
            entry = self._agenda.pop(limit)
            if entry is not None:
                await self._reach(entry)
        return entry is not None

    def move_to(self, instant: datetime) -> None:
        """Set the bed's time, also backwards: for a restored state, whose timers are set anew."""
        if self._frozen is not None:
            self._frozen = instant
        else:
            self._offset = instant - self._wall_now()
        self._announce()

    async def freeze(self) -> None:
        """Let time stand still until it is advanced."""
        async with self._advancing:
            if self.mode == "live":
                self._frozen, self.mode = self.now(), "stepped"
                self._announce()

    async def resume(self) -> None:
        """Let time flow with the wall clock, from where it is."""
        async with self._advancing:
            if self.mode == "stepped":
                self._offset, self.mode = self.now() - self._wall_now(), "live"
                self._frozen = None
                self._announce()

    async def settled(self) -> None:
        """Wait until every task sleeps."""
        await self._settled()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever time has jumped, stops or begins to flow."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Wake live sleepers and timers as wall time passes; runs until cancelled."""
        while True:
            self._changed.clear()
            async with self._advancing:
                while self._frozen is None and (entry := self._agenda.pop(self.now())):
                    await self._fire_live(entry)
            pause: float | None = None
            if self._frozen is None and (entry := self._agenda.next()):
                pause = max(0.0, (entry.deadline - self.now()).total_seconds())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), pause)

    # -- internals -----------------------------------------------------------------------------------------

    @staticmethod
    def _wall_now() -> datetime:
        return datetime.now(UTC)

    def _passes(self, task: Runner) -> bool:
        return any(task.name == name or task.name.startswith(f"{name}/") for name in self._let_pass)

    def _look(self) -> None:
        """Is everything quiet?"""
        if not self._running or (self._let_pass and all(map(self._passes, self._running))):
            self._quiet.set()

    @asynccontextmanager
    async def _still(self) -> AsyncIterator[None]:
        """Time moves by our hand only, as long as the block lasts; the caller holds `_advancing`."""
        if self._frozen is None:
            self._frozen = self.now()
            self._announce()
        try:
            yield
        finally:
            if self.mode == "live":
                self._offset, self._frozen = self.now() - self._wall_now(), None
            self._announce()

    def _announce(self) -> None:
        self._changed.set()
        for listener in self._listeners:
            listener()

    async def _reach(self, entry: Entry) -> None:
        self._frozen = max(self.now(), entry.deadline)
        await self._fire(entry)
        await self._settled()

    async def _fire(self, entry: Entry) -> None:
        if entry.callback is not None:
            if self._timers.get(entry.name) is entry:
                del self._timers[entry.name]
            result = entry.callback()
            if result is not None:
                await result
        elif entry.wake is not None:
            entry.wake.set()

    async def _fire_live(self, entry: Entry) -> None:
        """A timer that breaks is its owner's fault and must not stop time for everybody else."""
        try:
            await self._fire(entry)
        except Exception:  # noqa: BLE001 - see above
            _log.exception("timer_failed", timer=entry.name)

    async def _settled(self) -> None:
        try:
            async with asyncio.timeout(self.grace):
                while True:
                    await self._quiet.wait()
                    if not self._quiet.is_set():
                        continue
                    # An event set by a task just before it went to sleep reaches its sleeper in this turn.
                    # Whoever has run in it, and sleeps again, may have set one too.
                    holds = self._holds
                    await asyncio.sleep(0)
                    if self._holds == holds:
                        return
        except TimeoutError:
            names = ", ".join(self.running)
            raise ClockStalledError(f"clock stalled: {names} running for {self.grace:g} s") from None
