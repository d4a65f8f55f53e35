"""Key files that prove a caller of the token route to be root or in group `himds`.

Documented: a file ending in ``.key`` in the token folder, read by the caller and good for one use.
    Decisions: it is removed after 60 seconds of real time, and any outstanding key answers any challenge
    (``docs/wire.md`` section 8.4).
"""

from __future__ import annotations

import asyncio
import grp
import hmac
import os
import secrets
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from arcbed_agent.files import make_folder

GROUP: Final = "himds"
#: Real seconds.
LIFE: Final = 60.0
#: More than this many outstanding keys push out the oldest: nobody can fill the disk.
OUTSTANDING: Final = 256


class UnsafeFolderError(OSError):
    """The token folder is not the one that himds made: a link, somebody else's, or open to others."""


class Challenges:
    """The outstanding key files in `folder`.

    Args:
        folder: absolute; made when missing.
        shown: how a path reads in the challenge, for those who see the folder elsewhere.
    """

    def __init__(self, folder: Path, *, shown: Callable[[Path], str] = str) -> None:
        self._folder = folder
        self._shown = shown
        self._group: int | None = None
        self._keys: dict[str, tuple[str, asyncio.TimerHandle]] = {}

    def open(self) -> None:
        """Make the folder, and empty it of old keys: clients take any file in it for a valid one.

        Raises:
            UnsafeFolderError: see there.
        """
        make_folder(self._folder, mode=0o750)
        with suppress(KeyError):
            self._group = grp.getgrnam(GROUP).gr_gid
        with self._opened() as folder:
            os.fchmod(folder, 0o750)
            self._give_to_group(folder)
            for name in os.listdir(folder):  # noqa: PTH208 - by descriptor
                if name.endswith(".key"):
                    os.unlink(name, dir_fd=folder)

    def issue(self) -> str:
        """Make a key file and answer its path.

        Raises:
            OSError: it cannot be made.
        """
        name = f"{uuid.UUID(bytes=secrets.token_bytes(16), version=4)}.key"
        secret = secrets.token_urlsafe(48)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with self._opened() as folder:
            descriptor = os.open(name, flags, 0o600, dir_fd=folder)
            try:
                os.write(descriptor, secret.encode())
                self._give_to_group(descriptor)
                os.fchmod(descriptor, 0o640)
            finally:
                os.close(descriptor)
        while len(self._keys) >= OUTSTANDING:
            self._drop(next(iter(self._keys)))
        timer = asyncio.get_running_loop().call_later(LIFE, self._drop, name)
        self._keys[name] = (secret, timer)
        return self._shown(self._folder / name)

    def redeem(self, answer: str) -> bool:
        """Whether `answer` is the content of an outstanding key file; that file is used up."""
        given = answer.strip().encode()
        found = ""
        for name, (secret, _timer) in self._keys.items():
            if hmac.compare_digest(secret.encode(), given):
                found = name
        if found:
            self._drop(found)
        return bool(found)

    def close(self) -> None:
        """Remove all key files."""
        for name in list(self._keys):
            self._drop(name)

    def _drop(self, name: str) -> None:
        _secret, timer = self._keys.pop(name)
        timer.cancel()
        with suppress(OSError), self._opened() as folder:
            os.unlink(name, dir_fd=folder)

    def _give_to_group(self, descriptor: int) -> None:
        """To group `himds`, where there was one when himds started, and we may."""
        if self._group is not None:
            with suppress(PermissionError):
                os.fchown(descriptor, -1, self._group)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder by descriptor, so that it cannot be swapped between check and use."""
        try:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise UnsafeFolderError(
                error.errno, f"the token folder cannot be used: {error.strerror}"
            ) from error
        try:
            found = os.fstat(folder)
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
                raise UnsafeFolderError("the token folder belongs to somebody else or is writable for others")
            yield folder
        finally:
            os.close(folder)
