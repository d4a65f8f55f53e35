"""What callers of the governor see: limits, use, governed processes, and which back end holds them.

A *group* is what is limited together: the policy worker, or one extension with everything that its commands
leave behind. A group exists from the first `launch` under its name until its last process is gone.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

Mode = Literal["enforce", "account"]
Of = Literal["core", "machine"]
#: Back ends in the order in which they are tried.
BACK_ENDS = ("systemd", "cgroup2", "cgroup1", "signals", "none")


class GovernorError(Exception):
    """A group cannot be made, joined or limited; `str()` is one sentence."""


@dataclass(frozen=True)
class Limit:
    """How much CPU time a group may use.

    Args:
        percent: None: as much as there is.
        of: of one ``core`` (100 is one core busy, as systemd's CPUQuota counts) or of the whole ``machine``.
        why: the row of the table of limits that gave it, for reports.
    """

    percent: float | None
    of: Of = "core"
    why: str = ""

    def __post_init__(self) -> None:
        if self.percent is not None and not self.percent > 0:
            raise ValueError(f"a limit is more than 0 percent, not {self.percent}")

    @property
    def cores(self) -> float | None:
        """CPU seconds a second, None without a limit; never more than the machine has."""
        if self.percent is None:
            return None
        machine = os.cpu_count() or 1
        return min(float(machine), self.percent / 100 * (machine if self.of == "machine" else 1))

    def __str__(self) -> str:
        if self.percent is None:
            return "no limit"
        return f"{self.percent:g} % of {'one core' if self.of == 'core' else 'the machine'}"


@dataclass(frozen=True)
class Escape:
    """A process that was found outside its group. The governor has moved it back if `returned`."""

    pid: int
    command: str
    found_in: str
    returned: bool


@dataclass(frozen=True)
class Usage:
    """What a group has used. Times in seconds.

    Args:
        cpu_seconds: user and system time of all its processes, ended ones included.
        throttled_seconds: how long they wanted to run and were not let, added up over CPUs.
        periods: in which the group had something to run.
        throttled_periods: in which it used up its share.
        wall_seconds: real time that this account covers.
        limit: what it was held to last.
        enforced: whether `limit` was kept by the operating system all the time. False in `account` mode.
        backend: which back end measured.
        group: where it is, for people: a cgroup path, a slice, or a process tree.
        escapes: processes found outside.
    """

    cpu_seconds: float
    throttled_seconds: float
    periods: int
    throttled_periods: int
    wall_seconds: float
    limit: Limit
    enforced: bool
    backend: str
    group: str
    escapes: tuple[Escape, ...] = ()

    @property
    def percent(self) -> float:
        """Percent of one core over the whole account."""
        return 100 * self.cpu_seconds / self.wall_seconds if self.wall_seconds > 0 else 0.0

    def since(self, earlier: Usage) -> Usage:
        """What came on top of `earlier`, an account of the same group that began when this one did."""
        return replace(
            self,
            cpu_seconds=max(0.0, self.cpu_seconds - earlier.cpu_seconds),
            throttled_seconds=max(0.0, self.throttled_seconds - earlier.throttled_seconds),
            periods=max(0, self.periods - earlier.periods),
            throttled_periods=max(0, self.throttled_periods - earlier.throttled_periods),
            wall_seconds=max(0.0, self.wall_seconds - earlier.wall_seconds),
            escapes=self.escapes[len(earlier.escapes) :],
        )

    def document(self) -> dict[str, Any]:
        """The JSON of reports: docs/wire.md, `governance` and `engine`; names with `enforced` on are ours."""
        return {
            "cpuLimitPercent": self.limit.percent,
            "cpuSecondsUsed": round(self.cpu_seconds, 3),
            "throttledSeconds": round(self.throttled_seconds, 3),
            "cgroup": self.group,
            "enforced": self.enforced,
            "percentOf": self.limit.of,
            "backend": self.backend,
            "periods": self.periods,
            "throttledPeriods": self.throttled_periods,
            "wallSeconds": round(self.wall_seconds, 3),
            "escapes": [
                {
                    "pid": escape.pid,
                    "command": escape.command,
                    "foundIn": escape.found_in,
                    "returned": escape.returned,
                }
                for escape in self.escapes
            ],
        }


@dataclass(frozen=True)
class Choice:
    """Which back end is in force and why.

    Args:
        backend: one of `BACK_ENDS`.
        mode: ``account`` measures and limits nothing.
        reason: one line: what was found.
        refused: the back ends tried before it, each with why it will not do.
    """

    backend: str
    mode: Mode
    reason: str
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def enforces(self) -> bool:
        """Whether limits are kept by the operating system."""
        return self.mode == "enforce" and self.backend != "none"

    def __str__(self) -> str:
        """The line of ``azcmagent show``."""
        state = "enforced" if self.enforces else "not enforced"
        if self.mode == "account":
            state += ", measured only"
        refused = "".join(f"; not {name}: {why}" for name, why in self.refused)
        return f"{self.backend} ({state}): {self.reason}{refused}"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "backend": self.backend,
            "mode": self.mode,
            "enforced": self.enforces,
            "reason": self.reason,
            "refused": [{"backend": name, "reason": why} for name, why in self.refused],
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Choice:
        """What `document` wrote.

        Raises:
            KeyError, TypeError: it is not such a document.
        """
        refused = tuple((str(item["backend"]), str(item["reason"])) for item in document["refused"])
        mode: Mode = "account" if document["mode"] == "account" else "enforce"
        return cls(str(document["backend"]), mode, str(document["reason"]), refused)


class Governed(Protocol):
    """A running command in its group."""

    @property
    def pid(self) -> int:
        """The process id of the command itself."""

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """The command's output, if `launch` was given ``subprocess.PIPE``."""

    @property
    def stderr(self) -> asyncio.StreamReader | None:
        """The command's errors, if `launch` was given ``subprocess.PIPE``."""

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""

    async def wait(self) -> int:
        """The exit code; -N when signal N ended it. What it left behind runs on, still limited."""

    async def kill(self) -> None:
        """SIGKILL the whole group, what the command left behind included; returns when all are gone."""

    def usage(self) -> Usage:
        """The use of the group since this command was launched."""


class Governor(Protocol):
    """Runs commands in groups. One for each daemon; `close` when the daemon ends."""

    @property
    def choice(self) -> Choice:
        """Which back end, and why; may change to the next one when a command cannot be placed."""

    async def launch(
        self,
        command: Sequence[str],
        *,
        name: str,
        limit: Limit,
        environment: Mapping[str, str] | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        cwd: Path | str | None = None,
    ) -> Governed:
        """Start `command` in the group `name`; it is in it before its first instruction.

        Args:
            command: program (looked up in the PATH of `environment`) and arguments.
            name: of the group, made if there is none: ``worker``, or a handler's name.
            limit: of the group from now on.
            environment: the whole environment; None: this process's own.
            stdout: a file descriptor, ``subprocess.PIPE`` or ``subprocess.DEVNULL`` (None). stdin is empty.
            stderr: as `stdout`, or ``subprocess.STDOUT``.
            cwd: the folder to start in.

        Raises:
            FileNotFoundError, PermissionError: no such program, or it may not be run.
            NotADirectoryError: `cwd` is no folder.
        """

    async def limit(self, name: str, limit: Limit) -> None:
        """Give the group another limit, at once; nothing if there is no such group.

        Raises:
            GovernorError: the operating system refused, and the old limit holds.
        """

    def usage(self, name: str) -> Usage | None:
        """The use of the group since it was made; None: no such group."""

    def usages(self) -> Mapping[str, Usage]:
        """The use of every group that there is, by name."""

    async def end(self, name: str) -> Usage | None:
        """Kill what is left in the group and remove it; its last account."""

    async def close(self) -> None:
        """End all groups and stop watching."""


@dataclass(frozen=True)
class Wishes:
    """What the configuration says about governing.

    Args:
        mode: ``account`` measures only, for runs on stepped time.
        backend: one of `BACK_ENDS`, or ``auto``.
        of: what percentages are of.
    """

    mode: Mode = "enforce"
    backend: str = "auto"
    of: Of = field(default="core")
