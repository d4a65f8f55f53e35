"""Log files on the container's output, where ``docker logs`` finds them."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from typing import BinaryIO

#: Real seconds between two looks.
PERIOD = 0.25


class Follower:
    """Copies what is appended to a file from now on, also after it was rotated.

    A poll rather than inotify: `look` at the end, after the writers are gone, misses nothing.
    """

    def __init__(self, path: str, output: BinaryIO | None = None) -> None:
        self._path = path
        self._output = output or sys.stdout.buffer
        self._file: BinaryIO | None = None
        with suppress(OSError):
            self._file = open(path, "rb")  # noqa: SIM115, PTH123 - stays open
            self._file.seek(0, os.SEEK_END)

    def look(self) -> None:
        """Copy what is new."""
        with suppress(OSError):
            self._copy()
            if self._moved():
                self._file = open(self._path, "rb")  # noqa: SIM115, PTH123 - stays open
                self._copy()

    def keep_looking(self) -> None:
        """Look now and every quarter of a second, on the running loop."""
        self.look()
        asyncio.get_running_loop().call_later(PERIOD, self.keep_looking)

    def _copy(self) -> None:
        if self._file is not None and (new := self._file.read()):
            self._output.write(new)
            self._output.flush()

    def _moved(self) -> bool:
        """Whether the path now leads to another file, or to a shorter one."""
        there = os.stat(self._path)  # noqa: PTH116 - as fstat
        if self._file is None:
            return True
        here = os.fstat(self._file.fileno())
        if (here.st_ino, here.st_dev) != (there.st_ino, there.st_dev) or there.st_size < self._file.tell():
            self._file.close()
            return True
        return False
