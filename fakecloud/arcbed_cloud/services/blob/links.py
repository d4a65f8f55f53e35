"""The addresses of blobs, as clients of this bed can use them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlsplit

from arcbed_cloud import hosts
from arcbed_cloud.folder import Running
from arcbed_cloud.services.blob import sas
from arcbed_cloud.services.blob.store import Blob, BlobStore


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


def signed_url_of(store: BlobStore, blob: Blob, folder: Path, *, expiry: float) -> str:
    """The address with a signature that is good until `expiry` (real epoch seconds), if one is needed."""
    url = url_of(blob, folder)
    key = store.key(blob.account)
    if blob.public or key is None:
        return url
    return f"{url}?{sas.signed(key, blob.account, blob.container, blob.name, expiry=expiry)}"
