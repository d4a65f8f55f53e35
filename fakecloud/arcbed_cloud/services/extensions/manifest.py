"""What is in an extension's package: the zip's entries are safe, and ``HandlerManifest.json`` is whole.

Source: the handler contract of Azure's Linux agent, which Arc's extension manager keeps to.
"""

from __future__ import annotations

import json
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from arcbed_cloud.services.extensions import versions

MANIFEST = "HandlerManifest.json"
#: Bytes: what a machine takes, zipped and unpacked.
LARGEST_ZIP = 2 * 1024**3
LARGEST_UNPACKED = 2 * 1024**3
_LARGEST_MANIFEST = 1024 * 1024
_COMMANDS = ("installCommand", "enableCommand", "disableCommand", "updateCommand", "uninstallCommand")
_UPDATE_MODES = ("updatewithinstall", "updatewithoutinstall")


class ExtensionPackageError(ValueError):
    """A package that cannot be published; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Named:
    """Who a package says that it is; what it does not say is None."""

    publisher: str | None
    type: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The part of a manifest that the control plane goes by."""

    named: Named
    multiple: bool


def read(package: Path) -> Manifest:
    """Check a package.

    Raises:
        ExtensionPackageError: it is no zip, unsafe, too large, or its manifest is missing or wrong.
        OSError: it cannot be read.
    """
    if package.stat().st_size > LARGEST_ZIP:
        raise ExtensionPackageError(f"{package.name} has more than {LARGEST_ZIP} bytes.")
    try:
        with zipfile.ZipFile(package) as archive:
            _check_entries(archive.infolist())
            text = _manifest_text(archive)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ExtensionPackageError(f"{package.name} is no usable zip: {error}.") from error
    return parse(text)


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or "\0" in entry.filename:
            raise ExtensionPackageError(f"The entry '{entry.filename}' would be unpacked outside the folder.")
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise ExtensionPackageError(f"The entry '{entry.filename}' is neither a file nor a folder.")
    if sum(entry.file_size for entry in entries) > LARGEST_UNPACKED:
        raise ExtensionPackageError(f"Unpacked, the package has more than {LARGEST_UNPACKED} bytes.")


def _manifest_text(archive: zipfile.ZipFile) -> bytes:
    """The manifest nearest to the root; the agent, too, looks for it anywhere in the tree."""
    found = [
        entry
        for entry in archive.infolist()
        if PurePosixPath(entry.filename.replace("\\", "/")).name == MANIFEST
    ]
    if not found:
        raise ExtensionPackageError(f"There is no {MANIFEST} in the package.")
    entry = min(found, key=lambda one: (one.filename.count("/"), one.filename))
    if entry.file_size > _LARGEST_MANIFEST:
        raise ExtensionPackageError(f"{MANIFEST} has more than {_LARGEST_MANIFEST} bytes.")
    return archive.read(entry)


def parse(text: bytes) -> Manifest:
    """Check a manifest: an array of one object.

    Raises:
        ExtensionPackageError: what is wrong with it.
    """
    try:
        document = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ExtensionPackageError(f"{MANIFEST} is not JSON: {error}.") from error
    outer = document[0] if isinstance(document, list) and len(document) == 1 else None
    handler = outer.get("handlerManifest") if isinstance(outer, dict) else None
    if not isinstance(outer, dict) or not isinstance(handler, dict):
        raise ExtensionPackageError(f"{MANIFEST} must be an array of one object with 'handlerManifest'.")
    missing = [name for name in _COMMANDS if not _is_text(handler.get(name))]
    if missing:
        raise ExtensionPackageError(f"'handlerManifest' lacks {', '.join(missing)}.")
    mode = handler.get("updateMode")
    if mode is not None and str(mode).lower() not in _UPDATE_MODES:
        raise ExtensionPackageError("'updateMode' must be UpdateWithInstall or UpdateWithoutInstall.")
    return Manifest(_named(outer), _flag(handler.get("supportsMultipleExtensions")))


def _named(outer: dict[str, Any]) -> Named:
    """``signingInfo`` says it exactly; else ``name`` (``Publisher.Type``) and ``version``."""
    given = outer.get("signingInfo")
    signing = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    publisher, kind = split(str(outer["name"])) if _is_text(outer.get("name")) else (None, None)
    version = signing.get("version") or outer.get("version")
    text = str(version) if version is not None else None
    try:
        versions.numbers(text or "")
    except ValueError:
        text = None
    return Named(
        str(signing["publisher"]) if _is_text(signing.get("publisher")) else publisher,
        str(signing["type"]) if _is_text(signing.get("type")) else kind,
        text,
    )


def split(name: str) -> tuple[str | None, str | None]:
    """``Microsoft.Azure.Extensions.CustomScript`` is publisher and type; the type has no dot."""
    publisher, dot, kind = name.rpartition(".")
    return (publisher, kind) if dot and publisher and kind else (None, None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _flag(value: Any) -> bool:
    """Real booleans, or the text ``true`` in any case; anything else is false."""
    return value is True or (isinstance(value, str) and value.lower() == "true")
