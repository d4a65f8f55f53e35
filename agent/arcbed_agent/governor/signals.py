"""Limits by SIGSTOP and SIGCONT, for where no cgroup can be written: a token bucket for each process tree.

A tree earns CPU seconds at the rate of its limit and spends them by running. When it has none left it is
stopped until it has earned the share of a period. What it overspends before it is stopped is paid back, so
the mean is right though single periods are not. A tree that idles may save up one period's share.

Side effects: shells see stopped jobs, and a process that stopped itself is woken. A process that gives
itself another user's rights cannot be signalled any more; it is reported as escaped.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence

from arcbed_agent.clock import Clock
from arcbed_agent.governor import files
from arcbed_agent.governor.account import Account, Key
from arcbed_agent.governor.contract import GovernorError
from arcbed_agent.governor.family import Family, supported
from arcbed_agent.governor.group import Counters
from arcbed_agent.governor.processes import Member

PERIOD = 0.1
LONGEST = 0.5
#: A tree that uses nothing is looked at ever less often, at last so often.
IDLE = 0.05
#: The same after `RESTING` seconds. What it then overspends when it wakes up is paid back like all else.
REST, RESTING = 0.25, 30.0
#: A tree without a limit is looked at so often, for its account.
UNLIMITED = 1.0
#: The controller takes at most this part of a core; with very many processes the period grows instead.
CONTROLLER_SHARE = 0.01
#: Shares of a period that a busy tree keeps when it was woken late.
CARRY = 4
#: Sleeping less is not worth a look.
LEAST_SLICE = 0.002

CORES = os.cpu_count() or 1


class Tree:
    """A group held by signals. `turn` is called by the controller's thread, the rest by any."""

    def __init__(self, name: str, duty: DutyCycle, *, nice: bool = False) -> None:
        self.name, self._duty, self._nice = name, duty, nice
        self._account = Account()
        self._rate: float | None = None
        self._tokens = 0.0
        self._stopped: dict[Key, None] = {}
        self._standing = False
        self._pause = LEAST_SLICE
        self._meek: set[Key] = set()
        self._looked = self._spent = self._busy = 0.0
        self._throttled = 0.0
        self._periods = self._throttled_periods = 0
        self._running = 0.0
        self.period = PERIOD
        self.due = 0.0

    @property
    def where(self) -> str:
        """The tree's name; it has no place of its own."""
        return f"process tree {self.name}"

    def make(self) -> None:
        """Begin to look after it."""
        self._looked = self._busy = self._duty.now()
        self._duty.add(self)

    def hold(self, cores: float | None) -> None:
        """Set the rate; a tree begins with the share of one period, as with a quota."""
        if self._nice:
            return
        with self._duty.lock:
            self._rate = cores
            self._tokens = self._share
            self.due = 0.0
        self._duty.wake()

    @property
    def _share(self) -> float:
        return self.period * (self._rate or 0.0)

    def command(self, command: Sequence[str]) -> list[str]:
        """As it is, or as politely as possible."""
        return ["nice", "-n", "19", *command] if self._nice else list(command)

    def admit(self, pid: int) -> None:
        """It is in by descent; what cannot be signalled cannot be held.

        Raises:
            GovernorError: it has another user's rights.
        """
        if not self.holds(pid):
            raise GovernorError(f"process {pid} may not be signalled")
        with self._duty.lock:  # it is about to begin, perhaps with a fork bomb: look soon
            self._pause, self._busy, self.due = LEAST_SLICE, self._duty.now(), 0.0
        self._duty.wake()

    def take_back(self, pid: int) -> None:
        """As `admit`."""
        self.admit(pid)

    def holds(self, pid: int) -> bool:
        """Whether it can be stopped."""
        try:
            os.kill(pid, 0)
        except PermissionError:
            return False
        except ProcessLookupError:
            return True
        return True

    def counters(self) -> Counters:
        """The account, read now."""
        with self._duty.lock:
            if self._duty.has(self):
                self._account.read(self._duty.members(self.name))
            return Counters(self._account.total, self._throttled, self._periods, self._throttled_periods)

    def pids(self) -> set[int]:
        """All processes of the tree."""
        return set(self._duty.members(self.name))

    def waited_for(self, pid: int, seconds: float, children: float) -> None:
        """This daemon has waited for a process of the tree."""
        with self._duty.lock:
            self._account.waited_for(pid, seconds, children)

    def kill(self) -> None:
        """SIGKILL reaches the stopped too."""
        files.kill(self.pids())

    def remove(self) -> bool:
        """Look after it no more."""
        self.counters()
        self._duty.discard(self)
        return True

    # -- the controller's thread

    def turn(self, members: Mapping[int, Member], now: float) -> None:
        """Read, settle, and stop or run the tree; says in `due` when to come back."""
        elapsed, self._looked = now - self._looked, now
        total = self._account.read(members)
        used, self._spent = total - self._spent, total
        self._find_stopped(members)
        if used > 0:
            self._busy = now
        if self._rate is None:
            self.resume()
            self._count(used, elapsed)
            self.due = now + UNLIMITED
            return
        self._sort(members)
        saved = CARRY if self._standing or used > 0 else 1
        self._tokens = min(saved * self._share, self._tokens + self._rate * elapsed - used)
        stood = self._standing
        if stood:
            self._throttled += elapsed * min(len(self._stopped), CORES)
            if self._tokens < 0.95 * self._share:
                self._stop(members, now)
                return
            self._let_some_run()
        elif self._tokens <= min(LEAST_SLICE / 2, self._share / 5):
            self._periods += 1
            self._throttled_periods += 1
            self._running = 0.0
            self._stop(members, now)
            return
        else:
            self._count(used, elapsed)
        # What was stopped used nothing because of that: it is looked at soon, as what is busy.
        idle = not stood and used < 0.01 * elapsed and elapsed > LEAST_SLICE
        if idle and self._stopped:  # those that may run wait for others that may not
            self._let_some_run()
        at_once = max(1, min(len(members), CORES))
        longest = REST if now - self._busy >= RESTING else IDLE
        self._pause = min(longest, 2 * self._pause) if idle else LEAST_SLICE
        allowed = max(LEAST_SLICE, min(self._tokens / at_once, self.period))
        self.due = now + (self._pause if idle else allowed)

    def _count(self, used: float, elapsed: float) -> None:
        """A period in which it ran and was not stopped."""
        if used > 0:
            self._running += elapsed
            whole = int(self._running / self.period)
            self._running -= whole * self.period
            self._periods += whole

    def _stop(self, members: Mapping[int, Member], now: float) -> None:
        """Stop all of the tree: whole process groups, then single processes, until none is new."""
        for session in {member.session for member in members.values()}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(session, signal.SIGSTOP)  # with what was forked since the census
        for _ in range(100):
            fresh = [
                member for member in members.values() if (member.pid, member.started) not in self._stopped
            ]
            if not fresh:
                break
            for member in fresh:
                self._stopped[member.pid, member.started] = None
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(member.pid, signal.SIGSTOP)
            members = self._duty.members(self.name)
        self._standing = True
        wait = (self._share - self._tokens) / (self._rate or 1.0)
        self.due = now + max(LEAST_SLICE, wait)

    def _find_stopped(self, members: Mapping[int, Member]) -> None:
        """What stands counts as stopped by us: who was being forked while its group was stopped does too.

        The kernel hands such a signal on to the child when the fork is done, which is after our census.
        """
        if self._throttled_periods:
            for member in members.values():
                if member.state == "T":
                    self._stopped.setdefault((member.pid, member.started))

    def _sort(self, members: Mapping[int, Member]) -> None:
        """Which members hardly use anything: those that were free to run and did not. Forget the ended."""
        there = {(member.pid, member.started) for member in members.values()}
        self._stopped = {key: None for key in self._stopped if key in there}
        for key, used in self._account.busy.items():
            if used > 0:
                self._meek.discard(key)
            elif key not in self._stopped:
                self._meek.add(key)
        self._meek &= self._account.busy.keys()

    def _let_some_run(self) -> None:
        """All of the meek, and in turn as many of the others as there are cores.

        If all of many ran at once, the controller would wait for the CPU with them, and come too late.
        """
        self._standing = False
        hungry = [key for key in self._stopped if key not in self._meek]
        for key in [key for key in self._stopped if key in self._meek] + hungry[:CORES]:
            self._continue(key)

    def resume(self) -> None:
        """Let it run."""
        self._standing = False
        for key in list(self._stopped):
            self._continue(key)

    def _continue(self, key: Key) -> None:
        del self._stopped[key]
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(key[0], signal.SIGCONT)


class DutyCycle:
    """The controller: one thread for all trees, in real time; it sleeps while there is no tree.

    Args:
        family: sorts processes by tree.
        clock: for durations.
        hold: False: only count, and be nice (the back end `none`).
    """

    def __init__(self, family: Family, clock: Clock, *, hold: bool = True) -> None:
        self._family, self._clock, self._hold_them = family, clock, hold
        self._trees: set[Tree] = set()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self.lock = family.lock

    @property
    def name(self) -> str:
        """Of the back end."""
        return "signals" if self._hold_them else "none"

    @property
    def reason(self) -> str:
        """What it does."""
        if self._hold_them:
            return "process trees are stopped and continued"
        return "nothing limits; commands run at the lowest priority"

    @staticmethod
    def probe() -> None:
        """Whether process trees can be followed here.

        Raises:
            GovernorError: they cannot.
        """
        if not supported():
            raise GovernorError("the kernel does not list the children of a process")

    def group(self, name: str) -> Tree:
        """The tree called `name`."""
        return Tree(name, self, nice=not self._hold_them)

    def close(self) -> None:
        """Let everything run and end."""
        with self.lock:
            self._closed = True
            for tree in self._trees:
                tree.resume()
            thread = self._thread
        self.wake()
        if thread is not None:
            thread.join()

    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock.monotonic()

    def members(self, name: str) -> dict[int, Member]:
        """The processes of a tree now."""
        return self._family.census().get(name, {})

    def has(self, tree: Tree) -> bool:
        """Whether the tree is looked after."""
        return tree in self._trees

    def add(self, tree: Tree) -> None:
        """Look after a tree."""
        with self.lock:
            self._trees.add(tree)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="duty-cycle", daemon=True)
                self._thread.start()
        self.wake()

    def discard(self, tree: Tree) -> None:
        """Look after a tree no more."""
        with self.lock:
            tree.resume()
            self._trees.discard(tree)
        self.wake()

    def wake(self) -> None:
        """Something has changed: look at once."""
        self._changed.set()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # only root may; a late look lets a tree overspend
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), -20)
        while True:
            with self.lock:
                if self._closed or not self._trees:
                    self._thread = None
                    return
                due = self._round()
            self._changed.wait(max(0.0, due - self.now()))
            self._changed.clear()

    def _round(self) -> float:
        """One turn of every tree that is due; when the next one is."""
        now, begun = self.now(), time.thread_time()
        due = [tree for tree in self._trees if tree.due <= now]
        if due:
            census = self._family.census()
            for tree in due:
                tree.turn(census.get(tree.name, {}), now)
            cost = time.thread_time() - begun
            for tree in due:
                tree.period = min(LONGEST, max(PERIOD, 2 * cost / CONTROLLER_SHARE))
        return min(tree.due for tree in self._trees)
