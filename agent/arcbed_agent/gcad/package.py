"""Opens guest configuration packages, which come from outside and are not trusted.

Everything is checked before anything is unpacked: the hash, names, links, sizes, the one document at the top.

Source: Azure/GuestConfiguration (what New-GuestConfigurationPackage accepts) and Microsoft's article "How to
create custom machine configuration package artifacts"; many packages in the field have backslashes in their
names and no metaconfig.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from arcbed_agent.archives import (
    NO_ZIP,
    ArchiveError,
    ArchiveLimits,
    check_file,
    checked_members,
    extract,
    is_folder,
)
from arcbed_agent.gcad.dsc import mof
from arcbed_agent.gcad.dsc.tokens import MofError
from arcbed_agent.gcad.metaconfig import MetaConfig, read_metaconfig
from arcbed_agent.gcad.signature import check_signature
from arcbed_agent.openpgp import SignatureError


@dataclass(frozen=True)
class Limits(ArchiveLimits):
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


#: A package that is refused; `code` is such as ``PackageHashMismatch``, `message` one sentence.
PackageError = ArchiveError


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
        check_file(zip_file, sha256, limits)
        with zipfile.ZipFile(zip_file) as archive:
            members = checked_members(archive, limits)
            document = _document(members, name, limits)
            extract(archive, members, destination, limits)
        return _opened(destination, document, limits, keys)
    except NO_ZIP as problem:
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


def _document(members: dict[str, zipfile.ZipInfo], name: str, limits: Limits) -> str:
    """The path of the one MOF at the top."""
    found = [path for path, info in members.items() if _is_document(path) and not is_folder(info)]
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
