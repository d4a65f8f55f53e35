"""An index of what a folder holds, which several processes read and write at the same time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson

from arcbed_cloud.files import write_atomic

Index = TypeVar("Index")


class IndexFile(Generic[Index]):
    """``index.json`` of a folder: replaced in one step, and read anew when another process has replaced it.

    Args:
        folder: made when it is written for the first time.
        empty: the index while there is no file.
        parse: reads the file; raises if it is damaged.
        mode: of the file.
    """

    def __init__(
        self, folder: Path, empty: Index, parse: Callable[[Path], Index], *, mode: int = 0o644
    ) -> None:
        self._folder = folder
        self._file = folder / "index.json"
        self._empty = empty
        self._parse = parse
        self._mode = mode
        self._read: tuple[tuple[int, int], Index] | None = None

    def read(self) -> Index:
        """What is there now; raises what `parse` does."""
        try:
            found = self._file.stat()
            mark = (found.st_mtime_ns, found.st_ino)
            if self._read is None or self._read[0] != mark:
                self._read = (mark, self._parse(self._file))
        except FileNotFoundError:
            return self._empty
        return self._read[1]

    def write(self, document: Mapping[str, Any]) -> None:
        """Replace the file; only within `alone`.

        Raises:
            OSError: the folder cannot be written.
        """
        write_atomic(self._file, orjson.dumps(document, option=orjson.OPT_INDENT_2), mode=self._mode)
        self._read = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Two who write at once do so one after the other.

        Raises:
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
