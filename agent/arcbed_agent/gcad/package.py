"""Opens guest configuration packages, which come from outside and are not trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
class MetaConfig:
    """``<Name>.metaconfig.json``; a package without one counts as Audit 1.0.0.

    Args:
        type: ``Audit`` or ``AuditAndSet``.
        version: as written.
        configuration_mode_frequency_mins: None when the package does not say.
        document: the whole file.
    """

    type: str = "Audit"
    version: str = "1.0.0"
    configuration_mode_frequency_mins: int | None = None
    document: dict[str, Any] = field(default_factory=dict)


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
    zip_file: Path, destination: Path, *, name: str, sha256: str | None, limits: Limits | None = None
) -> Package:
    """Unpack `zip_file` into `destination` once it has passed every check.

    Args:
        zip_file: the package.
        destination: a folder that does not exist yet, or is empty; left out again on refusal.
        name: the configuration's name as the assignment gives it.
        sha256: the expected hash of the zip's bytes in hex, case ignored; None: not checked.
        limits: how much is accepted.

    Raises:
        PackageError: the package is refused.
    """
    del zip_file, destination, name, sha256, limits
    raise PackageError("PackageNotSupported", "Packages cannot be opened yet.")
