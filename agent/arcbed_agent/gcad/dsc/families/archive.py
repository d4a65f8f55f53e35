"""nxArchive: an archive that is unpacked somewhere.

Source: microsoft/PowerShell-DSC-for-Linux, nxArchive.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from arcbed_agent.files import write_durably
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault

#: How much an archive may hold, in bytes.
_LIMIT = 1 << 30
_METHODS = ("md5", "mtime", "ctime")


class Archive(Resource):
    """The files of a tar or zip file, below a folder."""

    names: ClassVar[tuple[str, ...]] = ("nxArchive", "MSFT_nxArchiveResource")
    code: ClassVar = "nxArchive"
    keys: ClassVar = ("SourcePath", "DestinationPath")

    def inspect(self) -> Current:
        """Compare every file of the archive with the one below the folder."""
        self.word("Checksum", _METHODS, "md5")
        destination = self._destination()
        current = Current(
            {"SourcePath": self.text("SourcePath"), "DestinationPath": self.text("DestinationPath")}
        )
        with self._unpacked() as folder:
            different = [name for name in _files(folder) if not self._same(folder / name, destination / name)]
            present = [name for name in _files(folder) if (destination / name).is_file()]
        current.properties["Ensure"] = "Absent" if different or not destination.is_dir() else "Present"
        if self.wanted and (different or not destination.is_dir()):
            first = different[0] if different else "the folder itself"
            phrase = f"{len(different)} files of the archive are missing or differ, the first is '{first}'."
            current.reasons.append(self.reason("Contents", phrase))
        elif not self.wanted and present:
            phrase = f"{len(present)} files of the archive exist, the first is '{present[0]}'."
            current.reasons.append(self.reason("Ensure", phrase))
        return current

    def _destination(self) -> Path:
        return self._path("DestinationPath")

    def _path(self, name: str) -> Path:
        try:
            return self.host.path(self.text(name))
        except ValueError as problem:
            raise ResourceFault("InvalidProperty", f"{name}: {problem}.") from problem

    def _same(self, packed: Path, own: Path) -> bool:
        """Times say whether the content is newer than the archive's; they cannot be compared otherwise."""
        if not own.is_file():
            return False
        if self.word("Checksum", _METHODS, "md5") == "md5":
            return packed.read_bytes() == own.read_bytes()
        return own.stat().st_mtime_ns >= self._path("SourcePath").stat().st_mtime_ns

    @contextmanager
    def _unpacked(self) -> Iterator[Path]:
        """The archive in a folder of its own; members that would leave it are refused."""
        source = self._path("SourcePath")
        with tempfile.TemporaryDirectory(prefix="gcad-archive-") as name:
            folder = Path(name)
            try:
                if zipfile.is_zipfile(source):
                    with zipfile.ZipFile(source) as archive:
                        _check_size(info.file_size for info in archive.infolist())
                        archive.extractall(folder)  # noqa: S202 - zipfile keeps members below the folder
                else:
                    with tarfile.open(source) as archive:
                        _check_size(member.size for member in archive.getmembers())
                        _unpack(archive, folder)
            except FileNotFoundError as problem:
                phrase = f"The archive '{self.text('SourcePath')}' was not found."
                raise ResourceFault("SourcePathNotFound", phrase) from problem
            except (tarfile.TarError, zipfile.BadZipFile, NotImplementedError, EOFError) as problem:
                raise ResourceFault(
                    "SourceUnreadable", f"The archive cannot be unpacked: {problem}."
                ) from problem
            yield folder

    def enforce(self) -> None:
        """Write the files that differ, or remove those of the archive."""
        destination = self._destination()
        self.host.may_change(destination)
        with self._unpacked() as folder:
            for name in _files(folder):
                own = destination / name
                self.host.may_change(own)
                if not self.wanted:
                    own.unlink(missing_ok=True)
                elif not self._same(folder / name, own):
                    own.parent.mkdir(parents=True, exist_ok=True)
                    write_durably(own, (folder / name).read_bytes(), mode=0o644)
            if self.wanted:
                destination.mkdir(parents=True, exist_ok=True)


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """What `extractall` with the filter ``data`` does, which Debian 12's Python does not have.

    Raises:
        tarfile.TarError: a member would leave the folder, is a device, or links to what the archive has not.
        ResourceFault: with the copies that links make it is too large.
    """
    root, sizes = folder.resolve(), 0
    for member in archive.getmembers():
        target = (root / member.name.lstrip("/")).resolve()
        if not target.is_relative_to(root):
            raise tarfile.ReadError(f"'{member.name}' would be outside of the destination")
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        if not (member.isreg() or member.islnk() or member.issym()):
            raise tarfile.ReadError(f"'{member.name}' is neither a file nor a folder")
        try:
            content = archive.extractfile(member)
        except (KeyError, RecursionError) as problem:
            raise tarfile.ReadError(f"'{member.name}' links to what the archive has not") from problem
        target.parent.mkdir(parents=True, exist_ok=True)
        # A link to a folder has no content of its own.
        if content is not None:
            sizes += content.seek(0, os.SEEK_END)
            _check_size([sizes])
            content.seek(0)
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file)


def _check_size(sizes: Iterable[int]) -> None:
    if sum(sizes) > _LIMIT:
        raise ResourceFault("SourceUnreadable", f"The archive holds more than {_LIMIT} bytes.")


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
