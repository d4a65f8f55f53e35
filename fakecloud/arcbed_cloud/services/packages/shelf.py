"""The agent packages of a bed: files in the state folder, and an index that says what they are.

``packages/index.json`` is replaced in one step after the file is there, so that a running control plane and
``fakecloud package publish`` may use the folder at the same time, and a kill leaves no half a package.
Packages are installation media, not state of the cloud: reset and restore leave them alone.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import orjson

from arcbed_cloud.files import write_atomic
from arcbed_cloud.index import IndexFile
from arcbed_cloud.services.packages import formats
from arcbed_cloud.services.packages.formats import PackageError

__all__ = ["Package", "PackageError", "Shelf"]

#: The agent is one program; other packages have no business on this shelf.
NAME = "azcmagent"


@dataclass(frozen=True, slots=True)
class Package:
    """One file.

    Args:
        file: its name.
        version: four numbers, as the agent says it.
        architecture: as the packages of its kind call it.
        kind: ``deb`` or ``rpm``.
        sha256: hex digest of the file.
        size: bytes.
        released: when it was published, RFC 3339, real time.
        control: a .deb's control file; empty for an .rpm.
    """

    file: str
    version: str
    architecture: str
    kind: str
    sha256: str
    size: int
    released: str
    control: str = ""

    @property
    def order(self) -> list[int]:
        """Sorts by version."""
        return [int(part) for part in self.version.split(".")]


@dataclass(frozen=True, slots=True)
class Index:
    """What is on the shelf, oldest version first, and which version is current."""

    packages: tuple[Package, ...] = ()
    latest: str | None = None


class Shelf:
    """The packages below a state folder. `index` follows what other processes publish."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "packages"
        self._file = IndexFile(self.folder, Index(), _parse)

    def index(self) -> Index:
        """What is published now.

        Raises:
            PackageError: the index is damaged.
        """
        return self._file.read()

    def file(self, name: str) -> Path | None:
        """The path of a published file, or None."""
        known = any(package.file == name for package in self.index().packages)
        return self.folder / name if known else None

    def publish(self, source: Path, *, released: str, as_latest: bool = False) -> Package:
        """Put a package on the shelf; one of the same name is replaced.

        Args:
            source: a .deb or .rpm of the agent.
            released: the moment, RFC 3339.
            as_latest: make its version the current one; the first to be published always is.

        Raises:
            PackageError: it is no package of the agent.
            OSError: it cannot be read, or the folder cannot be written.
        """
        described = formats.describe(source)
        if described.name != NAME:
            raise PackageError(f"{source} is a package of '{described.name}', not of {NAME}.")
        data = source.read_bytes()
        package = Package(
            file=source.name,
            version=described.version,
            architecture=described.architecture,
            kind=described.kind,
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            released=released,
            control=described.control,
        )
        with self._file.alone():
            write_atomic(self.folder / package.file, data)
            before = self.index()
            kept = [known for known in before.packages if known.file != package.file]
            latest = package.version if as_latest or before.latest is None else before.latest
            self._write(Index(tuple(sorted([*kept, package], key=lambda entry: entry.order)), latest))
        return package

    def _write(self, index: Index) -> None:
        packages = [asdict(package) for package in index.packages]
        self._file.write({"packages": packages, "latest": index.latest})


def _parse(file: Path) -> Index:
    try:
        document = orjson.loads(file.read_bytes())
        names = {entry.name for entry in fields(Package)}
        packages = [
            Package(**{name: value for name, value in entry.items() if name in names})
            for entry in document["packages"]
        ]
        return Index(tuple(packages), document["latest"])
    except (ValueError, KeyError, TypeError) as error:
        raise PackageError(f"{file} is damaged ({error}); remove it and publish again.") from error
