"""Whose process is that: the processes below this daemon, sorted by the group they were launched into.

The daemon is made the reaper of its descendants (prctl PR_SET_CHILD_SUBREAPER), so what forks twice or calls
setsid becomes its child instead of init's. Every launched command starts a session, and no process can join
a session later. So a child of the daemon that is in the daemon's own session, or was there before the
governor, is the daemon's own business, and every other one belongs to a group. (A daemon with a governor
therefore starts nothing in a session of its own but through the governor.)
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from arcbed_agent.governor.processes import PROC, Member, look, read
from arcbed_agent.governor.spawn import seconds

#: In the environment of every launched command: the group it belongs to.
MARK = "ARCBED_GROUP"
_SET_SUBREAPER, _GET_SUBREAPER = 36, 37


def is_reaper() -> bool:
    """Whether orphaned descendants are given to this process."""
    answer = ctypes.c_int()
    ctypes.CDLL(None).prctl(_GET_SUBREAPER, ctypes.byref(answer), 0, 0, 0)
    return bool(answer.value)


def become_reaper(*, on: bool = True) -> None:
    """Make this process the one that orphaned descendants are given to, or no longer."""
    ctypes.CDLL(None).prctl(_SET_SUBREAPER, int(on), 0, 0, 0)


class Family:
    """The processes of all groups. This process becomes the reaper of its descendants until `close`.

    Args:
        place: whose groups they are, such as ``arc/gcad``; no two daemons of a machine share one.

    Attributes:
        fallback: names the group that a process is counted to when nothing tells whose it is; the one with
            the tightest limit, so that to hide one's origin is never worth it.
        waited_for: told of the group and pid of each orphan that was waited for, of its CPU seconds with its
            children's, and of its children's.
        lock: held while a process is started, and by all that count.
    """

    def __init__(self, place: str) -> None:
        self._mark = f"{MARK}={place}/"
        self.fallback: Callable[[], str | None] = lambda: None
        self.waited_for: Callable[[str, int, float, float], None] = lambda *_: None
        self._roots: dict[int, str] = {}
        self._adopted: dict[tuple[int, int], str] = {}
        self._known: dict[tuple[int, int], str] = {}
        self._sessions: dict[int, str] = {}
        self._session = os.getsid(0)
        self._pid = os.getpid()
        self._own = {(child.pid, child.started) for child in self._children(self._pid)}
        self._was_reaper = is_reaper()
        become_reaper()
        self.lock = threading.RLock()

    def close(self) -> None:
        """Orphans go to init again."""
        if not self._was_reaper:
            become_reaper(on=False)

    def mark(self, name: str) -> dict[str, str]:
        """What to add to the environment of a command of the group."""
        variable, _, value = f"{self._mark}{name}".partition("=")
        return {variable: value}

    def adopt(self) -> list[int]:
        """Count what an earlier process of this daemon left running to its groups again; the processes."""
        with self.lock:
            for pid in sorted(int(item.name) for item in PROC.iterdir() if item.name.isdigit()):
                member = look(pid)
                # Where this process is the reaper of others already, what they left is its own child by now.
                if member is None or pid in self._roots or member.ended:
                    continue
                if name := self._marked(pid):
                    self._adopted[pid, member.started] = name
            return [pid for pid, _ in self._adopted]

    def launched(self, pid: int, name: str) -> None:
        """A command was started for the group; call with `lock` held since before the start."""
        self._roots[pid] = self._sessions[pid] = name

    def reaped(self, pid: int) -> str | None:
        """The command was waited for, its pid may soon name another process; the group it was in."""
        with self.lock:
            return self._roots.pop(pid, None)

    def forget(self, name: str) -> None:
        """The group is gone."""
        with self.lock:
            for held in (self._roots, self._known, self._sessions):
                for key in [key for key, value in held.items() if value == name]:
                    del held[key]  # type: ignore[arg-type]

    def census(self) -> dict[str, dict[int, Member]]:
        """All processes of all groups, zombies left out; waits for orphans that have ended."""
        with self.lock:
            found: dict[str, dict[int, Member]] = {}
            alive: dict[tuple[int, int], str] = {}
            for child, name in [*self._children_in_groups(), *self._adopted_alive()]:
                for member in (child, *self._below(child.pid)):
                    if not member.ended:
                        found.setdefault(name, {})[member.pid] = member
                    alive[member.pid, member.started] = name
                    self._sessions.setdefault(member.session, name)
            self._known = alive
            return found

    def left(self, name: str) -> set[int]:
        """Processes of the group that are there, zombies included."""
        with self.lock:
            self.census()
            return {pid for (pid, _), owner in self._known.items() if owner == name}

    def _children_in_groups(self) -> Iterator[tuple[Member, str]]:
        for child in self._children(self._pid):
            name = self._name(child)
            if name is not None and not self._reap(child, name):
                yield child, name

    def _adopted_alive(self) -> Iterator[tuple[Member, str]]:
        for (pid, started), name in list(self._adopted.items()):
            member = look(pid)
            if member is None or member.started != started or member.ended:
                del self._adopted[pid, started]
            else:
                yield member, name

    def _name(self, child: Member) -> str | None:
        """The group of a child of this process; None: the daemon's own."""
        if child.session == self._session or (child.pid, child.started) in self._own:
            return None
        for known in (
            self._roots.get(child.pid),
            self._known.get((child.pid, child.started)),
            self._sessions.get(child.session),
        ):
            if known is not None:
                return known
        marked = self._marked(child.pid)
        return marked if marked in self._sessions.values() else self.fallback()

    def _marked(self, pid: int) -> str | None:
        """The group of this daemon that is named in the environment that the process was started with."""
        with contextlib.suppress(OSError):
            for item in (PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                if item.startswith(self._mark.encode()):
                    return item.decode(errors="replace").removeprefix(self._mark)
        return None

    def _reap(self, child: Member, name: str) -> bool:
        """Wait for an orphan that has ended; a command itself is waited for by who launched it."""
        if child.state != "Z" or child.pid in self._roots:
            return False
        with contextlib.suppress(ChildProcessError):
            pid, _, used = os.wait4(child.pid, os.WNOHANG)
            if pid:
                self.waited_for(name, pid, seconds(used), child.waited)
        return True

    def _below(self, pid: int) -> Iterator[Member]:
        pending = [pid]
        while pending:
            for member in self._children(pending.pop()):
                yield member
                pending.append(member.pid)

    @staticmethod
    def _children(pid: int) -> list[Member]:
        """The children of all threads of a process."""
        folder = f"{PROC}/{pid}/task"
        found: list[Member] = []
        with contextlib.suppress(OSError):
            for thread in os.scandir(folder):
                with contextlib.suppress(OSError):
                    numbers = read(f"{thread.path}/children").split()
                    found.extend(member for number in numbers if (member := look(int(number))))
        return found


def supported() -> bool:
    """Whether the kernel lists the children of a process (CONFIG_PROC_CHILDREN)."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()
