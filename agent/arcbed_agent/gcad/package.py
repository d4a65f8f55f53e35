"""Opens guest configuration packages, which come from outside and are not trusted.

Everything is checked before anything is unpacked: the hash, names, links, sizes, the one document at the top.

Source: Azure/GuestConfiguration (what New-GuestConfigurationPackage accepts) and Microsoft's article "How to
create custom machine configuration package artifacts"; many packages in the field have backslashes in their
names and no metaconfig.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from arcbed_agent.gcad.dsc import mof
from arcbed_agent.gcad.dsc.tokens import MofError
from arcbed_agent.gcad.metaconfig import MetaConfig, read_metaconfig
from arcbed_agent.gcad.signature import SignatureError, check_signature

_DRIVE = re.compile(r"[A-Za-z]:")
_CHUNK = 1_048_576


@dataclass(frozen=True)
class Limits:
    """How much a package may hold.

    Args:
        archive_bytes: size of the zip file.
        total_bytes: sum of the sizes of its members when unpacked; the documented limit is 100 MB.
        members: number of members.
        document_bytes: size of the MOF.
    """

    archive_bytes: int = 104_857_600
    total_bytes: int = 104_857_600
    members: int = 20_000
    document_bytes: int = 2_097_152


@dataclass(frozen=True)
class Package:
    """An unpacked package.

    Args:
        name: the configuration's name: base name of its MOF.
        document: the MOF.
        metaconfig: its settings.
    """

    name: str
    document: Path
    metaconfig: MetaConfig


class PackageError(Exception):
    """A package that is refused.

    Args:
        code: such as ``PackageHashMismatch``.
        message: one sentence.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def open_package(
    zip_file: Path,
    destination: Path,
    *,
    name: str,
    sha256: str | None,
    limits: Limits | None = None,
    keys: Sequence[Path] = (),
) -> Package:
    """Unpack `zip_file` into `destination` once it has passed every check.

    Args:
        zip_file: the package.
        destination: a folder that does not exist yet, or is empty; gone again on refusal.
        name: the configuration's name as the assignment gives it; empty: whatever the package holds.
        sha256: the expected hash of the zip's bytes in hex, case ignored; None: not checked.
        limits: how much is accepted.
        keys: public keys (armoured or binary); when there are any, the package must be signed with one.

    Raises:
        PackageError: the package is refused; `code` is one of PackageUnreadable, PackageTooLarge,
            PackageHashMismatch, PackageNotZip, PackageEncrypted, PackageUnsafePath, PackageNoDocument,
            PackageSeveralDocuments, PackageNameMismatch, PackageDocumentInvalid, PackageSignatureInvalid.
    """
    limits = limits or Limits()
    try:
        _check_archive(zip_file, sha256, limits)
        with zipfile.ZipFile(zip_file) as archive:
            members = _checked_members(archive, limits)
            document = _document(members, name, limits)
            _extract(archive, members, destination, limits)
        return _opened(destination, document, limits, keys)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError) as problem:
        shutil.rmtree(destination, ignore_errors=True)
        raise PackageError(
            "PackageNotZip", f"The package is not a readable zip file: {problem}."
        ) from problem
    except OSError as problem:
        shutil.rmtree(destination, ignore_errors=True)
        phrase = f"The package cannot be unpacked: {problem.strerror or problem}."
        raise PackageError("PackageUnreadable", phrase) from problem
    except PackageError:
        shutil.rmtree(destination, ignore_errors=True)
        raise


def _check_archive(zip_file: Path, sha256: str | None, limits: Limits) -> None:
    size = zip_file.stat().st_size
    if size > limits.archive_bytes:
        phrase = f"The package has {size} bytes, more than {limits.archive_bytes}."
        raise PackageError("PackageTooLarge", phrase)
    if sha256 is None:
        return
    with zip_file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found.casefold() != sha256.strip().casefold():
        phrase = f"The package's SHA-256 is {found.upper()}, not {sha256.upper()} as the assignment says."
        raise PackageError("PackageHashMismatch", phrase)


def _checked_members(archive: zipfile.ZipFile, limits: Limits) -> dict[str, zipfile.ZipInfo]:
    """The members by their path below the package, forward slashes; nothing that could leave it."""
    infos = archive.infolist()
    if len(infos) > limits.members:
        raise PackageError(
            "PackageTooLarge", f"The package has {len(infos)} members, more than {limits.members}."
        )
    total = sum(info.file_size for info in infos)
    if total > limits.total_bytes:
        phrase = f"The package holds {total} bytes when unpacked, more than {limits.total_bytes}."
        raise PackageError("PackageTooLarge", phrase)
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        path = _safe_path(info)
        if path in members and not _is_folder(info):
            raise PackageError("PackageUnsafePath", f"The package holds '{path}' twice.")
        if path != ".":
            members[path] = info
    return members


def _is_folder(info: zipfile.ZipInfo) -> bool:
    return info.filename.endswith(("/", "\\"))


def _safe_path(info: zipfile.ZipInfo) -> str:
    name = info.filename.replace("\\", "/")
    if info.flag_bits & 0x1:
        raise PackageError("PackageEncrypted", f"'{info.filename}' is encrypted.")
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == 3 else 0
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise PackageError("PackageUnsafePath", f"'{info.filename}' is a link or a special file.")
    path = PurePosixPath(name)
    unsafe = name.startswith("/") or _DRIVE.match(name) or ".." in path.parts
    if unsafe or not name or any(ord(character) < 32 for character in name):
        raise PackageError("PackageUnsafePath", f"'{info.filename}' does not stay inside the package.")
    return str(path)


def _document(members: dict[str, zipfile.ZipInfo], name: str, limits: Limits) -> str:
    """The path of the one MOF at the top."""
    found = [path for path, info in members.items() if _is_document(path) and not _is_folder(info)]
    if not found:
        raise PackageError("PackageNoDocument", "The package has no MOF at its top.")
    if len(found) > 1:
        listed = ", ".join(sorted(found))
        raise PackageError("PackageSeveralDocuments", f"The package has several MOFs at its top: {listed}.")
    if members[found[0]].file_size > limits.document_bytes:
        raise PackageError("PackageTooLarge", f"'{found[0]}' is larger than {limits.document_bytes} bytes.")
    own = found[0][: -len(".mof")]
    if name and own.casefold() != name.casefold():
        raise PackageError(
            "PackageNameMismatch", f"The package holds the configuration '{own}', not '{name}'."
        )
    return found[0]


def _is_document(path: str) -> bool:
    return "/" not in path and path.casefold().endswith(".mof")


def _extract(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], destination: Path, limits: Limits
) -> None:
    """Unpack; the sizes in the directory may lie, so bytes are counted as they come."""
    destination.mkdir(parents=True, exist_ok=True)
    left = limits.total_bytes
    for path, info in members.items():
        target = destination / path
        if _is_folder(info):
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as source, target.open("xb") as sink:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    phrase = f"The package holds more than {limits.total_bytes} bytes when unpacked."
                    raise PackageError("PackageTooLarge", phrase)
                sink.write(chunk)


def _opened(destination: Path, document: str, limits: Limits, keys: Sequence[Path]) -> Package:
    name = document[: -len(".mof")]
    if keys:
        try:
            check_signature(destination, name, keys)
        except SignatureError as problem:
            raise PackageError("PackageSignatureInvalid", str(problem)) from problem
    try:
        mof.read(destination / document, limit=limits.document_bytes)
    except MofError as problem:
        phrase = f"{document}:{problem.line}:{problem.column}: {problem.reason}"
        raise PackageError("PackageDocumentInvalid", phrase) from problem
    return Package(name, destination / document, read_metaconfig(destination, name))
