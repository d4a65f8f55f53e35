"""Reading and writing the small files of a cgroup tree, and what both versions do alike."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from arcbed_agent.governor.contract import GovernorError


def write(path: Path, value: str) -> None:
    """Write in one call, as the kernel wants it; never makes a file.

    Raises:
        GovernorError: with what the operating system said.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise GovernorError(f"cannot write {value!r} to {path}: {error.strerror}") from error


def read(path: Path) -> str:
    """The text of a file.

    Raises:
        GovernorError: with what the operating system said.
    """
    try:
        return path.read_text()
    except OSError as error:
        raise GovernorError(f"cannot read {path}: {error.strerror}") from error


def table(text: str) -> dict[str, int]:
    """``nr_periods 12`` lines; lines of another form are passed over."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.isdecimal():
            found[name] = int(value)
    return found


def make(path: Path) -> None:
    """Make a group and its parents.

    Raises:
        GovernorError: with what the operating system said.
    """
    for left in range(5, -1, -1):
        try:
            return path.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:  # another daemon has just removed an outer group that was empty
            if not left:
                raise GovernorError(f"cannot make {path}: {error.strerror}") from error
        except OSError as error:
            raise GovernorError(f"cannot make {path}: {error.strerror}") from error
    return None


def tree(path: Path) -> Iterator[Path]:
    """The group and those that were made in it, leaves first."""
    for folder, _, _ in os.walk(path, topdown=False):
        yield Path(folder)


def pids(path: Path) -> set[int]:
    """The processes in a group and those below; those that this process cannot name (0) left out."""
    found: set[int] = set()
    for folder in tree(path):
        with contextlib.suppress(OSError):
            found.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
    return found - {0}


def kill(processes: set[int]) -> None:
    """SIGKILL each that is still there and may be killed."""
    for pid in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def remove(path: Path) -> bool:
    """Remove an empty group with those below; False: something is in it."""
    for folder in tree(path):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def take_below(path: Path, pid: int) -> bool:
    """Move a process into the first group inside `path` that takes it."""
    for folder in sorted(path.iterdir()) if path.is_dir() else ():
        with contextlib.suppress(GovernorError):
            write(folder / "cgroup.procs", str(pid))
            return True
    return False
