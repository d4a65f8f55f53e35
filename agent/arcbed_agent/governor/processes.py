"""Looking at a process through /proc: proc(5)."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Member:
    """A process as /proc/PID/stat shows it.

    Args:
        started: clock ticks after boot; with the pid it names a process for ever.
        waited: CPU seconds of the children that it has waited for, in steps of a tick.
    """

    pid: int
    state: str
    parent: int
    session: int
    started: int
    waited: float

    @property
    def ended(self) -> bool:
        """A zombie, or about to be gone."""
        return self.state in "ZX"


def look(pid: int) -> Member | None:
    """The process `pid`; None: there is none."""
    try:
        text = read(f"{PROC}/{pid}/stat")
    except OSError:
        return None
    fields = text[text.rindex(b")") + 2 :].split()
    return Member(
        pid,
        fields[0].decode(),
        int(fields[1]),
        int(fields[3]),
        int(fields[19]),
        (int(fields[13]) + int(fields[14])) / _TICK,
    )


def cpu_seconds(pid: int) -> float:
    """CPU seconds of a process, all its threads, without its children; 0 when it is gone.

    The clock of another process: clock_getcpuclockid(3) encodes the pid so. It counts nanoseconds.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def command_of(pid: int) -> str:
    """The command line of a process, at most 200 characters; its short name if it has none."""
    with contextlib.suppress(OSError):
        if line := (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").strip():
            return line.decode(errors="replace")[:200]
        return (PROC / str(pid) / "comm").read_text().strip()
    return ""


def read(path: str) -> bytes:
    """All of a file of proc, with as few calls as can be."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(descriptor, 65_536):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)
