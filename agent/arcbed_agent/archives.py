"""Zip files that come from outside and are not trusted: everything is checked before anything is unpacked.

Names that leave the folder, links and special files, encrypted members, and more bytes or members than are
accepted are refused; the sizes in a zip's directory may lie, so bytes are counted again as they come.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_DRIVE = re.compile(r"[A-Za-z]:")
_CHUNK = 1_048_576
#: What `zipfile` and its decompressors raise on content that is none.
NO_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    EOFError,
    ValueError,
    RuntimeError,
)


@dataclass(frozen=True)
class ArchiveLimits:
    """How much an archive may hold.

    Args:
        archive_bytes: size of the zip file.
        total_bytes: sum of the sizes of its members when unpacked.
        members: number of members.
    """

    archive_bytes: int
    total_bytes: int
    members: int = 20_000


class ArchiveError(Exception):
    """An archive that is refused.

    Args:
        code: PackageTooLarge, PackageHashMismatch, PackageUnsafePath or PackageEncrypted.
        message: one sentence.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def check_file(zip_file: Path, sha256: str | None, limits: ArchiveLimits) -> None:
    """Check size and hash of a zip file before it is opened.

    Args:
        zip_file: the file.
        sha256: hex, case ignored; None: not checked.
        limits: how much is accepted.

    Raises:
        ArchiveError: it is too large, or another file than was meant.
    """
    size = zip_file.stat().st_size
    if size > limits.archive_bytes:
        phrase = f"The package has {size} bytes, more than {limits.archive_bytes}."
        raise ArchiveError("PackageTooLarge", phrase)
    if sha256 is None:
        return
    with zip_file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found.casefold() != sha256.strip().casefold():
        phrase = f"The package's SHA-256 is {found.upper()}, not {sha256.upper()} as the assignment says."
        raise ArchiveError("PackageHashMismatch", phrase)


def checked_members(archive: zipfile.ZipFile, limits: ArchiveLimits) -> dict[str, zipfile.ZipInfo]:
    """The members by their path below the folder, forward slashes; nothing that could leave it.

    Raises:
        ArchiveError: a member is refused, or there is too much.
    """
    infos = archive.infolist()
    if len(infos) > limits.members:
        raise ArchiveError(
            "PackageTooLarge", f"The package has {len(infos)} members, more than {limits.members}."
        )
    total = sum(info.file_size for info in infos)
    if total > limits.total_bytes:
        phrase = f"The package holds {total} bytes when unpacked, more than {limits.total_bytes}."
        raise ArchiveError("PackageTooLarge", phrase)
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        path = _safe_path(info)
        if path in members and not is_folder(info):
            raise ArchiveError("PackageUnsafePath", f"The package holds '{path}' twice.")
        if path != ".":
            members[path] = info
    return members


def is_folder(info: zipfile.ZipInfo) -> bool:
    """Whether the member is a folder; many packages in the field have backslashes in their names."""
    return info.filename.endswith(("/", "\\"))


def _safe_path(info: zipfile.ZipInfo) -> str:
    name = info.filename.replace("\\", "/")
    if info.flag_bits & 0x1:
        raise ArchiveError("PackageEncrypted", f"'{info.filename}' is encrypted.")
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == 3 else 0
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise ArchiveError("PackageUnsafePath", f"'{info.filename}' is a link or a special file.")
    path = PurePosixPath(name)
    unsafe = name.startswith("/") or _DRIVE.match(name) or ".." in path.parts
    if unsafe or not name or any(ord(character) < 32 for character in name):
        raise ArchiveError("PackageUnsafePath", f"'{info.filename}' does not stay inside the package.")
    return str(path)


def extract(
    archive: zipfile.ZipFile,
    members: Mapping[str, zipfile.ZipInfo],
    destination: Path,
    limits: ArchiveLimits,
) -> None:
    """Unpack `members` into `destination`, whose files must not exist yet.

    Raises:
        ArchiveError: there is more than the directory said.
        OSError: it cannot be written.
    """
    destination.mkdir(parents=True, exist_ok=True)
    left = limits.total_bytes
    for path, info in members.items():
        target = destination / path
        if is_folder(info):
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, target.open("xb") as sink:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    phrase = f"The package holds more than {limits.total_bytes} bytes when unpacked."
                    raise ArchiveError("PackageTooLarge", phrase)
                sink.write(chunk)
