"""Limits through cgroup v2: ``cpu.max`` and ``cpu.stat``.

Source: the kernel's documentation, "Control Group v2". A group that hands controllers to its children may
hold no processes itself ("no internal processes"), so where the own group is not the root of the tree, its
processes move to a leaf first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from arcbed_agent.governor import files
from arcbed_agent.governor.contract import GovernorError
from arcbed_agent.governor.group import Counters
from arcbed_agent.governor.hierarchy import folder, memberships, mounts, path_in
from arcbed_agent.governor.processes import PROC

PERIOD_US = 100_000
#: The kernel takes no smaller quota.
LEAST_US = 1_000
#: Where the own processes go.
LEAF = "arc-init"
#: Making a group is tried so often while other daemons remove the groups around it.
TRIES = 6


class Group2:
    """A group.

    Args:
        folder: where it is.
        path: as /proc/PID/cgroup shows it.
        proc: the proc file system.
        around: the groups of ours around it, outermost first: made with it, and removed when they are empty.
    """

    def __init__(self, folder: Path, path: str, proc: Path = PROC, around: Sequence[Path] = ()) -> None:
        self._folder, self._path, self._proc, self._around = folder, path, proc, around
        self._last = Counters()

    @property
    def where(self) -> str:
        """Its path."""
        return self._path

    def make(self) -> None:
        """Make the folder and those around it, which hand the controller down."""
        for left in range(TRIES - 1, -1, -1):
            try:
                return self._make()
            except GovernorError:  # another daemon may just have removed an outer group that was empty
                if not left:
                    raise
        return None

    def _make(self) -> None:
        for path in self._around:
            files.make(path)
            _hand_down(path)
        files.make(self._folder)
        if not (self._folder / "cpu.max").exists():
            raise GovernorError(f"no cpu controller at {self._folder}")

    def hold(self, cores: float | None) -> None:
        """Write ``cpu.max``."""
        quota = "max" if cores is None else str(max(LEAST_US, round(cores * PERIOD_US)))
        files.write(self._folder / "cpu.max", f"{quota} {PERIOD_US}")

    def is_held(self, cores: float) -> bool:
        """Whether the kernel has this quota, or a tighter one."""
        try:
            quota, period = (self._folder / "cpu.max").read_text().split()
        except (OSError, ValueError):
            return False
        return quota.isdecimal() and int(quota) / int(period) <= cores * 1.01

    def command(self, command: Sequence[str]) -> list[str]:
        """As it is."""
        return list(command)

    def admit(self, pid: int) -> None:
        """Write the process in; into a leaf if a command of the group made groups with limits inside it."""
        try:
            files.write(self._folder / "cgroup.procs", str(pid))
        except GovernorError:
            if not files.read(self._folder / "cgroup.subtree_control").split():
                raise
            files.make(self._folder / LEAF)
            files.write(self._folder / LEAF / "cgroup.procs", str(pid))

    def take_back(self, pid: int) -> None:
        """As any other."""
        self.admit(pid)

    def take_back_below(self, pid: int) -> None:
        """Into a group inside this one, since inner groups hold no processes.

        Raises:
            GovernorError: none takes it.
        """
        if not files.take_below(self._folder, pid):
            raise GovernorError(f"no group in {self._folder} takes {pid}")

    def counters(self) -> Counters:
        """The kernel's account."""
        with contextlib.suppress(OSError):
            stat = files.table((self._folder / "cpu.stat").read_text())
            self._last = Counters(
                stat.get("usage_usec", 0) / 1e6,
                stat.get("throttled_usec", 0) / 1e6,
                stat.get("nr_periods", 0),
                stat.get("nr_throttled", 0),
            )
        return self._last

    def pids(self) -> set[int]:
        """Those in it and below."""
        return files.pids(self._folder)

    def holds(self, pid: int) -> bool:
        """Whether the process is in it or below."""
        try:
            path = path_in(memberships((self._proc / str(pid) / "cgroup").read_text()), None)
        except (OSError, GovernorError):
            return True
        return path == self._path or path.startswith(f"{self._path}/")

    def waited_for(self, pid: int, seconds: float, children: float) -> None:
        """The kernel keeps the account."""

    def kill(self) -> None:
        """All at once where the kernel can (5.14), else each; and let them have the CPU that dying takes."""
        try:
            files.write(self._folder / "cgroup.kill", "1")
        except GovernorError:
            files.kill(self.pids())
        with contextlib.suppress(GovernorError):
            self.hold(None)

    def remove(self) -> bool:
        """Remove the folder, and those around it when they are empty."""
        self.counters()
        if not files.remove(self._folder):
            return False
        # An idle daemon has no folders either: it may be killed and never come back.
        for path in reversed(self._around):
            with contextlib.suppress(OSError):
                path.rmdir()
        return True


class Cgroup2:
    """The back end: groups below the one this process is in, or was in before it moved to a leaf.

    Args:
        folder: of our groups.
        path: as /proc/PID/cgroup would show it.
        proc: the proc file system.
    """

    name = "cgroup2"

    def __init__(self, folder: Path, path: str, proc: Path = PROC) -> None:
        self._folder, self._path, self._proc = folder, path, proc

    @property
    def reason(self) -> str:
        """Below which folder the groups are made."""
        return f"cpu controller of cgroup v2 writable at {self._folder.parents[1]}"

    @classmethod
    def probe(cls, below: str, *, proc: Path = PROC) -> Cgroup2:
        """Find the tree, have the cpu controller handed down, and try it.

        Args:
            below: path of our groups relative to the own group, such as ``arc/gcad``.
            proc: the proc file system.

        Raises:
            GovernorError: why it will not do.
        """
        own = path_in(memberships(files.read(proc / "self/cgroup")), None)
        own = own.removesuffix(f"/{LEAF}") or "/"
        base = folder(mounts(files.read(proc / "self/mountinfo")), own, None)
        if not base.is_dir():
            raise GovernorError(f"own group {own} is not at {base}")
        if "cpu" not in files.read(base / "cgroup.controllers").split():
            raise GovernorError(f"no cpu controller at {base}")
        _hand_down(base)
        made = cls(base / below, f"{own.rstrip('/')}/{below}", proc)
        made.sweep()
        trial = made.group("probe")
        try:
            trial.make()
            trial.hold(0.05)
        finally:
            trial.remove()
        return made

    def group(self, name: str) -> Group2:
        """The group called `name`."""
        around = (self._folder.parent, self._folder)
        return Group2(self._folder / name, f"{self._path}/{name}", self._proc, around)

    def sweep(self) -> None:
        """Remove empty groups that an earlier process of the daemon left."""
        for item in self._folder.iterdir() if self._folder.is_dir() else ():
            if item.is_dir():
                files.remove(item)

    def close(self) -> None:
        """Remove our folders if nothing is in them."""
        for item in (self._folder, self._folder.parent):
            with contextlib.suppress(OSError):
                item.rmdir()


def _hand_down(path: Path) -> None:
    """Let the children of a group have the cpu controller; its own processes move to a leaf for that."""
    switch = path / "cgroup.subtree_control"
    if "cpu" in files.read(switch).split():
        return
    if (path / "cgroup.type").exists():  # the root of the tree has none, and may keep its processes
        _move_to_leaf(path)
    files.write(switch, "+cpu")


def _move_to_leaf(path: Path) -> None:
    why = ""
    for _ in range(5):
        staying = [pid for pid in files.read(path / "cgroup.procs").split() if pid != "0"]
        if not staying:
            return
        files.make(path / LEAF)
        for pid in staying:
            try:
                files.write(path / LEAF / "cgroup.procs", pid)
            except GovernorError as error:  # it may have ended
                why = str(error)
    raise GovernorError(f"processes stay in {path}, so it cannot hand its cpu controller down: {why}")
