"""Where packages lie: in the bed's own blob service, or in one that stands in for it, such as Azurite."""

from __future__ import annotations

import hashlib
import http.client
import os
import ssl
from dataclasses import asdict, dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

import orjson

from arcbed_cloud.files import write_atomic
from arcbed_cloud.services.blob import BlobStore, sas

#: Account and container in the bed's own blob service; the container in any other, too.
ACCOUNT, CONTAINER = "arcbedextensions", "packages"
#: Real seconds that an address is good for.
ADDRESS_SECONDS = 24 * 3_600.0
#: A file that is read from its beginning.
Source = BufferedReader | BytesIO
_UPLOAD_SECONDS = 3_600.0
_TIMEOUT = 60


class DepotError(RuntimeError):
    """The storage that stands in for the bed's own cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What lies there now: hex digest and bytes."""

    sha256: str
    size: int


class Depot(Protocol):
    """A place for packages and catalogues."""

    def put(self, file: str, source: Source, now: float) -> Stored:
        """Store what `source` holds; `now` is real epoch seconds."""

    def delete(self, file: str) -> None:
        """Delete a file; a missing one is fine."""

    def address(self, file: str, now: float) -> str:
        """The address, signed for `ADDRESS_SECONDS`."""


class OwnDepot:
    """The blob service of the bed."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def put(self, file: str, source: Source, now: float) -> Stored:
        """See `Depot`."""
        blob = self._blobs.put(ACCOUNT, CONTAINER, file, source, modified=now)
        return Stored(blob.sha256, blob.size)

    def delete(self, file: str) -> None:
        """See `Depot`."""
        self._blobs.delete(ACCOUNT, CONTAINER, file)

    def address(self, file: str, now: float) -> str:
        """See `Depot`."""
        address = f"https://{ACCOUNT}.blob.core.windows.net/{CONTAINER}/{quote(file)}"
        key = self._blobs.key(ACCOUNT)
        if key is None:
            return address
        return f"{address}?{sas.signed(key, ACCOUNT, CONTAINER, file, expiry=now + ADDRESS_SECONDS)}"


@dataclass(frozen=True, slots=True)
class Account:
    """A storage account elsewhere.

    Args:
        endpoint: of its blob service, ``https://host[:port][/account]``.
        name: of the account.
        key: base64, as the account has it.
    """

    endpoint: str
    name: str
    key: str


class OuterDepot:
    """The blob service of another storage account.

    Args:
        account: which.
        authority: a PEM file that is trusted besides the system's authorities, if it exists.
    """

    def __init__(self, account: Account, authority: Path) -> None:
        self._account = account
        self._key = sas.decoded(account.key)
        self._authority = authority

    def prepare(self, now: float) -> None:
        """Make the container if it is missing.

        Raises:
            DepotError: the account cannot be used.
        """
        query = sas.account_signed(self._key, self._account.name, expiry=now + _UPLOAD_SECONDS)
        self._send("PUT", f"/{CONTAINER}?restype=container&{query}", also=(409,))

    def put(self, file: str, source: Source, now: float) -> Stored:
        """See `Depot`.

        Raises:
            DepotError: the account cannot be used.
        """
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        size = source.seek(0, os.SEEK_END)
        source.seek(0)
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Length": str(size)}
        self._send("PUT", self._signed(file, now + _UPLOAD_SECONDS, "cw"), headers, source)
        return Stored(digest, size)

    def delete(self, file: str) -> None:
        """Left to the account's owner: a machine may be about to download it."""

    def address(self, file: str, now: float) -> str:
        """See `Depot`."""
        return f"{self._account.endpoint}{self._signed(file, now + ADDRESS_SECONDS, 'r')}"

    def _signed(self, file: str, expiry: float, permissions: str) -> str:
        query = sas.signed(
            self._key, self._account.name, CONTAINER, file, expiry=expiry, permissions=permissions
        )
        return f"/{CONTAINER}/{quote(file)}?{query}"

    def _send(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: Source | None = None,
        also: tuple[int, ...] = (),
    ) -> None:
        parts = urlsplit(self._account.endpoint)
        context = ssl.create_default_context()
        if self._authority.exists():
            context.load_verify_locations(self._authority)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=_TIMEOUT, context=context
        )
        try:
            given = {"x-ms-version": sas.VERSION, "Content-Length": "0", **(headers or {})}
            connection.request(method, parts.path + path, body, given)
            answer = connection.getresponse()
            text = answer.read(2_000).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise DepotError(f"{self._account.endpoint} cannot be reached: {error}.") from error
        finally:
            connection.close()
        if answer.status >= 300 and answer.status not in also:
            raise DepotError(f"{self._account.endpoint} refused {method}: {answer.status} {text}")


def configured(folder: Path) -> Account | None:
    """The account that stands in for the bed's own service, or None.

    Raises:
        DepotError: the file is damaged.
    """
    file = folder / "storage.json"
    try:
        return Account(**orjson.loads(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise DepotError(
            f"{file} is damaged ({error}); remove it and configure the storage again."
        ) from error


def configure(folder: Path, account: Account | None) -> None:
    """Keep the account (0600: it has its key), or go back to the bed's own service with None."""
    file = folder / "storage.json"
    if account is None:
        file.unlink(missing_ok=True)
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(file, orjson.dumps(asdict(account)), mode=0o600)
