"""Published extension packages: blobs, and an index that says what they are.

``extensions/index.json`` below the state folder is replaced in one step after the blobs are there, so that a
running control plane and ``fakecloud extension publish`` may work at the same time, and a kill leaves no half
a package. Beside each package lies its catalogue: one line as ``sha256sum`` writes it, clear-signed (OpenPGP)
with the bed's publisher key. Packages are the publishers', not state of the cloud: reset and restore leave
them alone.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson

from arcbed_cloud.index import IndexFile
from arcbed_cloud.services.blob import BlobStore
from arcbed_cloud.services.extensions import manifest, versions
from arcbed_cloud.services.extensions.depots import (
    Account,
    Depot,
    OuterDepot,
    OwnDepot,
    configure,
    configured,
)
from arcbed_cloud.services.extensions.manifest import ExtensionPackageError
from arcbed_cloud.services.packages.signing import SigningKey

_PUBLISHER = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*", re.ASCII)
_TYPE = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*", re.ASCII)
_FILE = re.compile(r"(?P<name>[^/]+?)(?:__|-)(?P<version>\d+(?:\.\d+){1,3})\.zip", re.ASCII)


@dataclass(frozen=True, slots=True)
class Published:
    """One version of one extension.

    Args:
        publisher: e.g. ``Microsoft.Azure.Extensions``.
        type: e.g. ``CustomScript``.
        version: up to four numbers.
        sha256: hex digest of the package.
        size: its bytes.
        catalog_sha256: hex digest of the catalogue.
        regions: normalised names of the regions that have it; empty: all.
        architectures: ``x64``, ``arm64``; empty: all.
        multiple: several named instances may run on one machine.
        published: when, RFC 3339, real time.
    """

    publisher: str
    type: str
    version: str
    sha256: str = ""
    size: int = 0
    catalog_sha256: str = ""
    regions: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    multiple: bool = False
    published: str = ""

    @property
    def file(self) -> str:
        """``Publisher.Type__1.2.3.zip``."""
        return f"{self.publisher}.{self.type}__{self.version}.zip"

    @property
    def catalog(self) -> str:
        """``Publisher.Type__1.2.3.cat``."""
        return self.file.removesuffix(".zip") + ".cat"

    @property
    def order(self) -> tuple[str, str, tuple[int, ...]]:
        """Sorts by publisher, type and version."""
        return self.publisher.lower(), self.type.lower(), versions.numbers(self.version)

    def is_in(self, region: str) -> bool:
        """True if the region (normalised) has it."""
        return not self.regions or region in self.regions

    def is_of(self, publisher: str, kind: str) -> bool:
        """True for a version of this extension; names ignore case."""
        return self.publisher.lower() == publisher.lower() and self.type.lower() == kind.lower()


class Gallery:
    """The packages below a state folder. `all` follows what other processes publish."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "extensions"
        self.key = SigningKey(self.folder)
        self._authority = state / "ca.pem"
        self._own = OwnDepot(BlobStore(state))
        self._file = IndexFile[tuple[Published, ...]](self.folder, (), _parse)

    # -- reading -------------------------------------------------------------------------------------------

    def all(self) -> tuple[Published, ...]:
        """Everything, by publisher, type and version.

        Raises:
            ExtensionPackageError: the index is damaged.
        """
        return self._file.read()

    def of(self, publisher: str, kind: str, region: str) -> list[Published]:
        """The versions of an extension that a region has, oldest first."""
        return [entry for entry in self.all() if entry.is_of(publisher, kind) and entry.is_in(region)]

    def get(self, publisher: str, kind: str, version: str) -> Published | None:
        """One version, whatever the region."""
        return next(
            (entry for entry in self.all() if entry.is_of(publisher, kind) and entry.version == version), None
        )

    def address(self, file: str, now: float) -> str:
        """The address of a package or a catalogue, signed for a day from `now` (real epoch seconds) on."""
        return self._depot().address(file, now)

    # -- where packages lie --------------------------------------------------------------------------------

    def store_in(self, account: Account | None, now: float) -> None:
        """Let another account's blob service stand in for the bed's own, or go back to that with None.

        Raises:
            ExtensionPackageError: something is published; its packages would be out of reach.
            DepotError: the account cannot be used.
        """
        if self.all():
            raise ExtensionPackageError("Unpublish everything first: packages do not move with the storage.")
        if account is not None:
            OuterDepot(account, self._authority).prepare(now)
        configure(self.folder, account)

    def _depot(self) -> Depot:
        account = configured(self.folder)
        return self._own if account is None else OuterDepot(account, self._authority)

    # -- publishing ----------------------------------------------------------------------------------------

    def publish(
        self,
        source: Path,
        *,
        now: float,
        publisher: str | None = None,
        kind: str | None = None,
        version: str | None = None,
        regions: tuple[str, ...] = (),
        architectures: tuple[str, ...] = (),
    ) -> Published:
        """Publish a package as it ships to Azure; the same version again is replaced.

        Args:
            source: the zip.
            now: real epoch seconds.
            publisher: whose it is; else ``signingInfo`` of its manifest, the manifest's ``name`` or its file
                name (``Publisher.Type__1.2.3.zip``) says so.
            kind: likewise, the extension's type.
            version: likewise.
            regions: normalised names; empty: all.
            architectures: empty: all.

        Raises:
            ExtensionPackageError: it is no package, or nothing says whose it is.
            DepotError: the storage that stands in for the bed's own cannot be used.
            OSError: it cannot be read, or the folder cannot be written.
        """
        found = manifest.read(source)
        named = _identified(source.name, found.named, publisher, kind, version)
        entry = Published(
            *named,
            regions=tuple(sorted(regions)),
            architectures=architectures,
            multiple=found.multiple,
            published=f"{datetime.fromtimestamp(int(now), UTC):%Y-%m-%dT%H:%M:%SZ}",
        )
        depot = self._depot()
        with self._file.alone():
            with source.open("rb") as stream:
                package = depot.put(entry.file, stream, now)
            line = f"{package.sha256}  {entry.file}\n"
            signed = BytesIO(self.key.clear(line.encode()))
            catalog = depot.put(entry.catalog, signed, now)
            entry = replace(entry, sha256=package.sha256, size=package.size, catalog_sha256=catalog.sha256)
            kept = [known for known in self.all() if known.order != entry.order]
            self._write([*kept, entry])
        return entry

    def unpublish(self, publisher: str, kind: str, version: str) -> Published:
        """Take a version away; machines that have it keep it.

        Raises:
            ExtensionPackageError: there is no such version.
        """
        with self._file.alone():
            entry = self.get(publisher, kind, version)
            if entry is None:
                raise ExtensionPackageError(f"{publisher}.{kind} {version} is not published.")
            self._write([known for known in self.all() if known != entry])
            for file in (entry.file, entry.catalog):
                self._depot().delete(file)
        return entry

    def _write(self, entries: list[Published]) -> None:
        ordered = sorted(entries, key=lambda entry: entry.order)
        self._file.write({"extensions": [asdict(entry) for entry in ordered]})


def _identified(
    file: str, named: manifest.Named, publisher: str | None, kind: str | None, version: str | None
) -> tuple[str, str, str]:
    """Publisher, type and version: as asked for, else as the package says, else as its file name does."""
    match = _FILE.fullmatch(file)
    by_name = manifest.split(match["name"]) if match else (None, None)
    found = (
        publisher or named.publisher or by_name[0],
        kind or named.type or by_name[1],
        version or (match["version"] if match else None) or named.version,
    )
    for what, option, text in zip(("publisher", "type", "version"), found, found, strict=True):
        if option is None or text is None:
            raise ExtensionPackageError(
                f"Nothing in {file} says its {what}; name it with --{what}, or call the file "
                "Publisher.Type__1.2.3.zip."
            )
    whose, what_type, number = (text or "" for text in found)
    if not _PUBLISHER.fullmatch(whose) or not _TYPE.fullmatch(what_type):
        raise ExtensionPackageError(
            f"'{whose}.{what_type}' is no name of an extension: letters, digits, dots."
        )
    try:
        versions.numbers(number)
    except ValueError as error:
        raise ExtensionPackageError(f"{error}.") from error
    return whose, what_type, number


def _entry(document: dict[str, Any]) -> Published:
    names = {entry.name for entry in fields(Published)}
    known = {name: value for name, value in document.items() if name in names}
    for name in ("regions", "architectures"):
        known[name] = tuple(known.get(name, ()))
    return Published(**known)


def _parse(file: Path) -> tuple[Published, ...]:
    try:
        found = [_entry(entry) for entry in orjson.loads(file.read_bytes())["extensions"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ExtensionPackageError(f"{file} is damaged ({error}); remove it and publish again.") from error
    return tuple(found)
