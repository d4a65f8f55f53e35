"""Files in a container, running or not, by the engine's archive calls."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Sequence
from pathlib import PurePosixPath

from docker.errors import APIError, NotFound

from arcbed.harness.containers.engine import Engine


class ContainerPath:
    """A path in a container; the part of `pathlib.Path` that stories need."""

    def __init__(self, engine: Engine, container: str, path: PurePosixPath | str) -> None:
        self._engine = engine
        self._container = container
        self._path = PurePosixPath(path)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._path}>"

    def __str__(self) -> str:
        return str(self._path)

    @property
    def name(self) -> str:
        """Its last part."""
        return self._path.name

    def __truediv__(self, key: str) -> ContainerPath:
        """The path below it."""
        return ContainerPath(self._engine, self._container, self._path / key)

    def exists(self) -> bool:
        """Whether anything is there."""
        return self._header() is not None

    def is_file(self) -> bool:
        """Whether a file is there."""
        header = self._header()
        return header is not None and header.isreg()

    def stat(self) -> os.stat_result:
        """Mode, owner, size and time of what is there.

        Raises:
            FileNotFoundError: nothing is.
        """
        header = self._found()
        kind = stat.S_IFDIR if header.isdir() else stat.S_IFREG
        times = (header.mtime,) * 3
        return os.stat_result(
            (kind | header.mode & 0o7777, 0, 0, 1, header.uid, header.gid, header.size, *times)
        )

    def read_bytes(self) -> bytes:
        """What is in the file.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._archive() as archive:
            header = archive.next()
            content = archive.extractfile(header) if header else None
            if content is None:
                raise FileNotFoundError(str(self._path))
            return content.read()

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """What is in the file.

        Raises:
            FileNotFoundError: there is none.
        """
        return self.read_bytes().decode(encoding or "utf-8", errors or "strict")

    def write_text(
        self, data: str, encoding: str | None = None, errors: str | None = None, *, mode: int = 0o644
    ) -> int:
        """Replace what is in the file; its folder must be there. A new file is root's.

        Raises:
            FileNotFoundError: there is no such folder.
        """
        content = data.encode(encoding or "utf-8", errors or "strict")
        header = self._header() or tarfile.TarInfo()
        new = tarfile.TarInfo(self.name)
        new.uid, new.gid, new.mode = header.uid, header.gid, header.mode if header.name else mode
        self._put(new, content)
        return len(data)

    def _put(self, header: tarfile.TarInfo, content: bytes) -> None:
        header.size = len(content)
        try:
            put(self._engine, self._container, str(self._path.parent), [(header, content)])
        except NotFound as error:
            raise FileNotFoundError(str(self._path)) from error

    def _archive(self) -> tarfile.TarFile:
        try:
            pieces, _ = self._engine.client.api.get_archive(self._container, str(self._path))
            return tarfile.open(fileobj=io.BytesIO(b"".join(pieces)))
        except (NotFound, APIError) as error:
            raise FileNotFoundError(str(self._path)) from error

    def _found(self) -> tarfile.TarInfo:
        header = self._header()
        if header is None:
            raise FileNotFoundError(str(self._path))
        return header

    def _header(self) -> tarfile.TarInfo | None:
        try:
            with self._archive() as archive:
                return archive.next()
        except FileNotFoundError:
            return None


def put(engine: Engine, container: str, folder: str, files: Sequence[tuple[tarfile.TarInfo, bytes]]) -> None:
    """Write `files` below `folder` of a container; folders that are missing are made."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for header, content in files:
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    engine.client.api.put_archive(container, folder, written.getvalue())


def regular(path: str, content: bytes, mode: int = 0o644) -> tuple[tarfile.TarInfo, bytes]:
    """A file of root's, for `put`."""
    header = tarfile.TarInfo(path)
    header.mode = mode
    return header, content
