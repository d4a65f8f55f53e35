"""The addresses of blobs, as clients of this bed can use them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlsplit

from arcbed_cloud import hosts
from arcbed_cloud.folder import Running
from arcbed_cloud.services.blob import sas
from arcbed_cloud.services.blob.store import OCTETS, Blob, BlobStore, check_names

#: Letters of ``sp``: reading, and what brings a blob into being; all of them in Azure's order.
READ, WRITING, PERMISSIONS = "r", frozenset("cw"), "racwd"


def url_of(blob: Blob, folder: Path) -> str:
    """The address without a signature.

    It is on the account's host, or on the control plane's own where it runs under one that is not Azure's.

    Args:
        blob: any.
        folder: the state folder.
    """
    name = quote(blob.name)
    running = Running.read(folder)
    if running is None:
        return f"https://{blob.account}.blob.core.windows.net/{blob.container}/{name}"
    parts = urlsplit(running.url)
    if hosts.service_of(parts.netloc) is None:
        return f"{running.url.rstrip('/')}/blob/{blob.account}/{blob.container}/{name}"
    port = f":{parts.port}" if parts.port not in {None, 443} else ""
    return f"https://{blob.account}.blob.core.windows.net{port}/{blob.container}/{name}"


def signed_url_of(
    store: BlobStore, blob: Blob, folder: Path, *, expiry: float, permissions: str = READ
) -> str:
    """The address with a signature that is good until `expiry` (real epoch seconds), if one is needed."""
    url = url_of(blob, folder)
    key = store.key(blob.account)
    if key is None or (blob.public and permissions == READ):
        return url
    query = sas.signed(key, blob.account, blob.container, blob.name, expiry=expiry, permissions=permissions)
    return f"{url}?{query}"


def place_of(store: BlobStore, account: str, container: str, name: str, permissions: str) -> Blob | None:
    """The blob to sign for; one that is going to be written need not be there, nor its account.

    Raises:
        BlobNameError: a name that Azure would not allow.
    """
    found = store.get(account, container, name)
    if found is None and set(permissions) & WRITING:
        check_names(account, container, name)
        store.open_account(account)
        return Blob(account, container, name, 0, "", "", OCTETS, 0)
    return found
