"""The state folder as processes see it: who holds it, and where its control plane answers.

A state folder belongs to one process at a time. ``fakecloud.json`` names process and addresses, and is there
only while calls are answered.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import orjson

from arcbed_cloud.files import write_atomic


class InUseError(RuntimeError):
    """Another process holds the state folder."""


@dataclass(frozen=True, slots=True)
class Running:
    """What ``fakecloud.json`` says of a process that answers.

    `url` is where clients reach it, `admin` is ``unix:PATH`` or an URL, `clock` is the path of the clock's
    socket or the clock's ``host:port``.
    """

    pid: int
    host: str
    port: int
    tls: bool
    url: str
    admin: str
    clock: str

    @classmethod
    def read(cls, folder: Path) -> Running | None:
        """The process that serves a state folder, or None if none does (any more)."""
        try:
            document = orjson.loads((folder / "fakecloud.json").read_bytes())
            found = cls(**{entry.name: document[entry.name] for entry in fields(cls)})
        except (OSError, ValueError, KeyError):
            return None
        return found if is_held(folder) else None

    def write(self, folder: Path) -> None:
        """Say that calls are answered from now on."""
        write_atomic(folder / "fakecloud.pid", f"{self.pid}\n")
        document = {"apiVersion": 1, **asdict(self)}
        write_atomic(folder / "fakecloud.json", orjson.dumps(document, option=orjson.OPT_INDENT_2))

    @staticmethod
    def forget(folder: Path) -> None:
        """Say that calls are answered no more."""
        for name in ("fakecloud.json", "fakecloud.pid"):
            with suppress(OSError):
                (folder / name).unlink(missing_ok=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a state folder; the kernel lets go of it when the process ends, however it ends.

    Raises:
        InUseError: another process holds it.
    """
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
            raise InUseError(
                f"The state in {folder} is in use by process {holder}. Stop it, or choose another --state."
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def is_held(folder: Path) -> bool:
    """True while some process holds the folder."""
    try:
        handle = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
