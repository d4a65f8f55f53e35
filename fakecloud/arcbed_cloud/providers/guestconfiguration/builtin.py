"""Content of built-in configurations: packages in the storage account that Microsoft keeps them in.

Recorded assignments name ``https://oaasguestconfigwcuss1.blob.core.windows.net/builtinconfig/{name}/
{name}_{version}.zip``. What a bed has under that name is what its assignments without an address of their own
get; a version ``1.*`` is the newest that fits.
"""

from __future__ import annotations

from dataclasses import dataclass

from arcbed_cloud.services.blob import Blob, BlobStore

ACCOUNT = "oaasguestconfigwcuss1"
CONTAINER = "builtinconfig"


@dataclass(frozen=True, slots=True)
class Content:
    """A package: its address, SHA-256 (hex, capitals) and version."""

    uri: str
    sha256: str
    version: str


def content_of(store: BlobStore, name: str, version: str | None) -> Content | None:
    """The newest package of a configuration that fits a version, or None.

    Args:
        store: the bed's blobs.
        name: of the configuration, in any case.
        version: exact, or with ``*`` at its end; None fits all.
    """
    found = [
        (_numbers(at), at, blob)
        for blob in store.index().blobs.values()
        if blob.account == ACCOUNT and blob.container == CONTAINER
        for at in [_version(blob, name)]
        if at is not None and _fits(at, version)
    ]
    if not found:
        return None
    _, at, blob = max(found, key=lambda entry: entry[0])
    uri = f"https://{ACCOUNT}.blob.core.windows.net/{CONTAINER}/{blob.name}"
    return Content(uri, blob.sha256.upper(), at)


def _version(blob: Blob, name: str) -> str | None:
    folder, _, file = blob.name.partition("/")
    start = f"{name}_".lower()
    if folder.lower() != name.lower() or not file.lower().startswith(start) or not file.endswith(".zip"):
        return None
    return file[len(start) : -len(".zip")]


def _fits(version: str, wanted: str | None) -> bool:
    if not wanted:
        return True
    if wanted.endswith("*"):
        return version.startswith(wanted[:-1])
    return version == wanted


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version.split(".")]
