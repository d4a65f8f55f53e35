"""Limits through systemd: a slice for each group, a scope in it for each command.

`systemd-run --scope` puts itself into the new scope and then becomes the command. The quota is a run-time
property of the slice, so what commands leave behind stays limited, and an administrator's drop-in wins.
systemd sets a quota without complaint where the kernel has no cpu controller for it, so the probe looks at
the kernel's file. The account is read from the cgroup. Where version 1 has cpu and cpuacct mounted apart,
systemd does not use cpuacct, so there the groups that count are ours.

Source: systemd.resource-control(5), systemd-run(1).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from arcbed_agent.governor import files
from arcbed_agent.governor.cgroup1 import Group1
from arcbed_agent.governor.cgroup2 import Group2
from arcbed_agent.governor.contract import GovernorError
from arcbed_agent.governor.group import Counters
from arcbed_agent.governor.hierarchy import folder, memberships, mounts, path_in
from arcbed_agent.governor.processes import PROC

RUNNING = Path("/run/systemd/system")
#: For systemd to answer, on a machine that is busy.
ANSWER_SECONDS = 20.0
_scopes = itertools.count(1)


def unit_name(below: str, name: str) -> str:
    """The slice of a group: a dash nests, so dashes in names become underscores."""
    parts = [part.replace("-", "_") for part in (*below.split("/"), name)]
    plain = ["".join(c if c.isalnum() or c in "_." else "_" for c in part) for part in parts]
    return "-".join(plain) + ".slice"


class Slice:
    """A group.

    Args:
        unit: the slice's name.
        account: of a group in the cpuacct tree below the own one, for where systemd does not use that tree.
    """

    def __init__(self, unit: str, account: str) -> None:
        self._unit, self._account = unit, account
        self._counted_in: Path | None = None
        self._inside: Group1 | Group2 | None = None
        self._cores: float | None = None

    @property
    def where(self) -> str:
        """The slice's name."""
        return self._unit

    def make(self) -> None:
        """A slice needs no file; it appears with its first scope."""

    def hold(self, cores: float | None) -> None:
        """Set the slice's quota, and see that the kernel has it."""
        value = "" if cores is None else f"{cores * 100:.4g}%"
        _systemctl("set-property", "--runtime", self._unit, f"CPUQuota={value}", "CPUAccounting=yes")
        self._cores = cores
        self._verify()

    def command(self, command: Sequence[str]) -> list[str]:
        """In a scope of its own."""
        scope = f"{self._unit.removesuffix('.slice')}-{os.getpid()}-{next(_scopes)}.scope"
        return ["systemd-run", "--quiet", "--scope", f"--slice={self._unit}", f"--unit={scope}", *command]

    def admit(self, pid: int) -> None:
        """Wait until systemd has the process in its scope, in the trees that limit and count."""
        waiting = threading.Event()
        for _ in range(int(ANSWER_SECONDS / 0.005)):
            try:
                self._locate((PROC / str(pid) / "cgroup").read_text())
                self._verify()
                return self._count(pid)
            except (OSError, GovernorError) as error:
                why = str(error)
            if _over(pid):
                break
            waiting.wait(0.005)
        raise GovernorError(f"systemd-run made no scope in {self._unit}: {why}")

    def take_back(self, pid: int) -> None:
        """Into the slice itself, or where it may not hold processes (version 2) into one of its scopes."""
        if self._inside is None:
            raise GovernorError(f"{self._unit} has no cgroup")
        self._inside.take_back_below(pid)

    def _locate(self, text: str) -> None:
        """The slice's cgroup, from the text of a member's /proc/PID/cgroup."""
        found = memberships(text)
        trees = mounts(files.read(PROC / "self/mountinfo"))
        unified = [mount for mount in trees if mount.version == 2]
        legacy = any("cpu" in mount.controllers for mount in trees)
        if unified and not legacy:
            path = self._path(path_in(found, None))
            self._inside = Group2(folder(trees, path, None), path)
            return
        path = self._path(path_in(found, "cpu"))
        account = path_in(found, "cpuacct")
        if f"/{self._unit}" in account:
            counted_in = folder(trees, self._path(account), "cpuacct")
        else:
            own = path_in(memberships(files.read(PROC / "self/cgroup")), "cpuacct")
            counted_in = self._counted_in = folder(trees, own, "cpuacct") / self._account
        self._inside = Group1(folder(trees, path, "cpu"), counted_in, path)

    def _count(self, pid: int) -> None:
        """Into the cpuacct tree, where systemd leaves that to us."""
        if self._counted_in is not None:
            files.make(self._counted_in)
            files.write(self._counted_in / "cgroup.procs", str(pid))

    def _path(self, member: str) -> str:
        before, unit, _ = member.partition(f"/{self._unit}")
        if not unit:
            raise GovernorError(f"systemd keeps {member} outside {self._unit}")
        return before + unit

    def _verify(self) -> None:
        """The kernel's quota is what was asked for."""
        if self._inside is not None and self._cores is not None and not self._inside.is_held(self._cores):
            raise GovernorError(f"systemd has set no quota on the cgroup of {self._unit}")

    def counters(self) -> Counters:
        """The kernel's account."""
        return Counters() if self._inside is None else self._inside.counters()

    def pids(self) -> set[int]:
        """Those of all its scopes."""
        return set() if self._inside is None else self._inside.pids()

    def holds(self, pid: int) -> bool:
        """Whether the process is in one of its scopes."""
        return self._inside is None or self._inside.holds(pid)

    def waited_for(self, pid: int, seconds: float, children: float) -> None:
        """The kernel keeps the account."""

    def kill(self) -> None:
        """Each of all scopes."""
        if self._inside is not None:
            self._inside.kill()

    def remove(self) -> bool:
        """Stop the slice and take its run-time property back."""
        self.counters()
        if self.pids():
            return False
        _systemctl("stop", self._unit)
        _systemctl("revert", self._unit)
        return self._counted_in is None or files.remove(self._counted_in)


class Systemd:
    """The back end.

    Args:
        below: whose groups they are, such as ``arc/gcad``.
        version: what systemd says it is.
    """

    name = "systemd"

    def __init__(self, below: str, version: str) -> None:
        self._below, self._version = below, version

    @property
    def reason(self) -> str:
        """That it runs the machine."""
        return f"{self._version} runs this machine and takes scopes and quotas"

    @classmethod
    def probe(cls, below: str) -> Systemd:
        """Try a scope and a quota.

        Raises:
            GovernorError: why it will not do.
        """
        if not RUNNING.is_dir():
            raise GovernorError(f"systemd does not run this machine ({RUNNING} is missing)")
        for program in ("systemd-run", "systemctl"):
            if shutil.which(program) is None:
                raise GovernorError(f"{program} is missing")
        version = " ".join(_run("systemctl", "--version").split()[:2])
        made = cls(below, version)
        trial = made.group("probe")
        try:
            trial.hold(0.05)
            _try(trial)
        finally:
            trial.remove()
        return made

    def group(self, name: str) -> Slice:
        """The slice of the group called `name`."""
        return Slice(unit_name(self._below, name), f"{self._below}/{name}")

    def close(self) -> None:
        """Stop the slices around our groups, if nothing is in them, and remove the groups that only count."""
        names = [part.replace("-", "_") for part in self._below.split("/")]
        for depth in range(len(names), 0, -1):
            outer = "-".join(names[:depth])
            with contextlib.suppress(GovernorError):
                if not _systemctl("list-units", "--all", "--plain", "--no-legend", f"{outer}-*").strip():
                    _systemctl("stop", f"{outer}.slice")
        with contextlib.suppress(OSError, GovernorError):
            own = path_in(memberships(files.read(PROC / "self/cgroup")), "cpuacct")
            place = folder(mounts(files.read(PROC / "self/mountinfo")), own, "cpuacct") / self._below
            for path in (place, place.parent):
                path.rmdir()


def _try(trial: Slice) -> None:
    """A process that waits in a scope until its input ends."""
    with subprocess.Popen(
        trial.command(["/bin/sh", "-c", "read -r go"]),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            trial.admit(process.pid)
        finally:
            process.kill()


def _over(pid: int) -> bool:
    try:
        return (PROC / str(pid) / "stat").read_bytes().rpartition(b") ")[2][:1] in {b"Z", b"X"}
    except OSError:
        return True


def _systemctl(*words: str) -> str:
    return _run("systemctl", "--no-ask-password", *words)


def _run(*words: str) -> str:
    """Run a program of systemd.

    Raises:
        GovernorError: it fails or does not answer.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GovernorError(f"{words[0]}: {error}") from error
    if done.returncode:
        raise GovernorError(f"{' '.join(words[:3])}: {done.stderr.strip() or done.returncode}")
    return done.stdout
