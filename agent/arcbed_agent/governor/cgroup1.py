"""Limits through cgroup v1: the controllers cpu (quota) and cpuacct (account), mounted together or apart.

Source: the kernel's documentation, "CFS Bandwidth Control" and "CPU Accounting Controller".
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


class Group1:
    """A group in both trees.

    Args:
        cpu: its folder in the tree of the cpu controller.
        account: its folder in the tree of cpuacct; the same where they are mounted together.
        path: as /proc/PID/cgroup shows it in the cpu tree.
        proc: the proc file system.
    """

    def __init__(self, cpu: Path, account: Path, path: str, proc: Path = PROC) -> None:
        self._cpu, self._account, self._path, self._proc = cpu, account, path, proc
        self._last = Counters()

    @property
    def where(self) -> str:
        """The path in the cpu tree."""
        return self._path

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders, one or two."""
        return tuple(dict.fromkeys((self._cpu, self._account)))

    def make(self) -> None:
        """Make both folders."""
        for path in self.folders:
            files.make(path)

    def hold(self, cores: float | None) -> None:
        """Write the quota; a group above that has less cannot be exceeded, so its share is taken."""
        if cores is None:
            return files.write(self._cpu / "cpu.cfs_quota_us", "-1")
        files.write(self._cpu / "cpu.cfs_period_us", str(PERIOD_US))
        quota = max(LEAST_US, round(cores * PERIOD_US))
        try:
            return files.write(self._cpu / "cpu.cfs_quota_us", str(quota))
        except GovernorError as error:
            share = self._share_above()
            if share is None or share * PERIOD_US >= quota:
                raise
            if share * PERIOD_US < LEAST_US:
                raise GovernorError(f"{error}; the group above has only {share:.4f} cores") from error
            return files.write(self._cpu / "cpu.cfs_quota_us", str(int(share * PERIOD_US)))

    def is_held(self, cores: float) -> bool:
        """Whether the kernel has this quota, or a tighter one."""
        try:
            quota = int((self._cpu / "cpu.cfs_quota_us").read_text())
            period = int((self._cpu / "cpu.cfs_period_us").read_text())
        except (OSError, ValueError):
            return False
        return 0 < quota / period <= cores * 1.01

    def _share_above(self) -> float | None:
        """Cores of the tightest group above this one."""
        shares = []
        for above in self._cpu.parents:
            try:
                quota = int((above / "cpu.cfs_quota_us").read_text())
                if quota > 0:
                    shares.append(quota / int((above / "cpu.cfs_period_us").read_text()))
            except (OSError, ValueError):
                break
        return min(shares, default=None)

    def command(self, command: Sequence[str]) -> list[str]:
        """As it is."""
        return list(command)

    def admit(self, pid: int) -> None:
        """Write the process into both."""
        for path in self.folders:
            files.write(path / "cgroup.procs", str(pid))

    def take_back(self, pid: int) -> None:
        """As any other."""
        self.admit(pid)

    def take_back_below(self, pid: int) -> None:
        """Into this group too: version 1 lets inner groups hold processes."""
        self.admit(pid)

    def counters(self) -> Counters:
        """The kernel's account."""
        try:
            used = int((self._account / "cpuacct.usage").read_text()) / 1e9
            stat = files.table((self._cpu / "cpu.stat").read_text())
        except (OSError, ValueError):
            return self._last
        self._last = Counters(
            used,
            stat.get("throttled_time", 0) / 1e9,
            stat.get("nr_periods", 0),
            stat.get("nr_throttled", 0),
        )
        return self._last

    def pids(self) -> set[int]:
        """Of both trees: what has left one of them is still ours."""
        return set().union(*(files.pids(path) for path in self.folders))

    def holds(self, pid: int) -> bool:
        """Whether the process is in the cpu group or below."""
        try:
            path = path_in(memberships((self._proc / str(pid) / "cgroup").read_text()), "cpu")
        except (OSError, GovernorError):
            return True
        return path == self._path or path.startswith(f"{self._path}/")

    def waited_for(self, pid: int, seconds: float, children: float) -> None:
        """The kernel keeps the account."""

    def kill(self) -> None:
        """Kill all, and let them have the CPU that dying takes."""
        files.kill(self.pids())
        with contextlib.suppress(GovernorError):
            self.hold(None)

    def remove(self) -> bool:
        """Remove both folders."""
        self.counters()
        gone = [files.remove(path) for path in self.folders]
        # An idle daemon has no folders either: it may be killed and never come back.
        for path in self.folders if all(gone) else ():
            for outer in (path.parent, path.parent.parent):
                with contextlib.suppress(OSError):
                    outer.rmdir()
        return all(gone)


class Cgroup1:
    """The back end: groups below the one this process is in.

    Args:
        cpu: folder of our groups in the cpu tree.
        account: folder of our groups in the cpuacct tree.
        path: as /proc/PID/cgroup would show `cpu`.
        proc: the proc file system.
    """

    name = "cgroup1"

    def __init__(self, cpu: Path, account: Path, path: str, proc: Path = PROC) -> None:
        self._cpu, self._account, self._path, self._proc = cpu, account, path, proc

    @property
    def reason(self) -> str:
        """Below which folder the groups are made."""
        return f"cpu controller of cgroup v1 writable at {self._cpu.parents[1]}"

    @classmethod
    def probe(cls, below: str, *, proc: Path = PROC) -> Cgroup1:
        """Find the trees and try them.

        Args:
            below: path of our groups relative to the own group, such as ``arc/gcad``.
            proc: the proc file system.

        Raises:
            GovernorError: why it will not do.
        """
        trees = mounts(files.read(proc / "self/mountinfo"))
        own = memberships(files.read(proc / "self/cgroup"))
        found = {name: path_in(own, name) for name in ("cpu", "cpuacct")}
        cpu, account = (folder(trees, found[name], name) for name in ("cpu", "cpuacct"))
        if not (cpu.is_dir() and account.is_dir()):
            raise GovernorError(f"own group {found['cpu']} is not below {cpu}")
        account = cpu / below if cpu.samefile(account) else account / below
        cpu /= below
        made = cls(cpu, account, f"{found['cpu'].rstrip('/')}/{below}", proc)
        made.sweep()
        trial = made.group("probe")
        try:
            trial.make()
            trial.hold(0.05)
        finally:
            trial.remove()
        return made

    def group(self, name: str) -> Group1:
        """The group called `name`."""
        return Group1(self._cpu / name, self._account / name, f"{self._path}/{name}", self._proc)

    def sweep(self) -> None:
        """Remove empty groups that an earlier process of the daemon left."""
        for path in {self._cpu, self._account}:
            if path.is_dir():
                for item in path.iterdir():
                    if item.is_dir():
                        files.remove(item)

    def close(self) -> None:
        """Remove our folders if nothing is in them."""
        for path in {self._cpu, self._account}:
            for item in (path, path.parent):
                with contextlib.suppress(OSError):
                    item.rmdir()
