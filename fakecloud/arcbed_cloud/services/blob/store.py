"""The blobs of a bed: files in the state folder, and an index that says which blob is which file.

``blobs/index.json`` (0600: it holds the accounts' keys) is replaced in one step after a file is there, so
that a running control plane and ``fakecloud blob`` may use the folder at the same time, and a kill leaves no
half a blob. Like the agent's packages, blobs are media, not state of the cloud: reset and restore leave them
alone.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import orjson

from arcbed_cloud.index import IndexFile

# Microsoft's article "Naming and referencing containers, blobs, and metadata".
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"(?=.{3,63}$)[a-z0-9]+(?:-[a-z0-9]+)*|\$root|\$web")
MAX_NAME = 1_024
_CHUNK = 1024 * 1024
OCTETS = "application/octet-stream"
#: Kinds of blobs, as ``x-ms-blob-type`` has them.
BLOCK, APPEND = "BlockBlob", "AppendBlob"


class BlobNameError(ValueError):
    """A name that Azure would not allow; the message says which."""


class BlobIndexError(RuntimeError):
    """The index is damaged."""


@dataclass(frozen=True, slots=True)
class Blob:
    """One blob.

    Args:
        account: of the host name.
        container: within it.
        name: within that; may have slashes.
        size: bytes.
        sha256: hex digest of the content, and the name of its file.
        md5: base64, as ``Content-MD5`` has it.
        content_type: as it is served.
        modified: real epoch seconds.
        public: may be read without a signature.
        kind: ``BlockBlob`` or ``AppendBlob``.
        blocks: that an append blob has got.
    """

    account: str
    container: str
    name: str
    size: int
    sha256: str
    md5: str
    content_type: str
    modified: int
    public: bool = False
    kind: str = BLOCK
    blocks: int = 0

    @property
    def key(self) -> str:
        """``account/container/name``."""
        return f"{self.account}/{self.container}/{self.name}"

    @property
    def etag(self) -> str:
        """A strong tag in the form that Azure's have."""
        digest = hashlib.sha256(f"{self.key}:{self.sha256}:{self.modified}".encode()).hexdigest()
        return f'"0x8D{digest[:13].upper()}"'


@dataclass(frozen=True, slots=True)
class Index:
    """Keys by account (base64), and blobs by their key."""

    accounts: Mapping[str, str] = field(default_factory=dict)
    blobs: Mapping[str, Blob] = field(default_factory=dict)

    def has_container(self, account: str, container: str) -> bool:
        """Containers exist as long as something is in them."""
        prefix = f"{account}/{container}/"
        return any(key.startswith(prefix) for key in self.blobs)


class BlobStore:
    """The blobs below a state folder. `index` follows what other processes write."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "blobs"
        self._file = IndexFile(self.folder, Index(), _parse, mode=0o600)

    def index(self) -> Index:
        """What is there now.

        Raises:
            BlobIndexError: the index is damaged.
        """
        return self._file.read()

    def get(self, account: str, container: str, name: str) -> Blob | None:
        """One blob."""
        return self.index().blobs.get(f"{account}/{container}/{name}")

    def by_sha256(self, sha256: str) -> Blob | None:
        """Some blob with this content; hex in any case."""
        wanted = sha256.lower()
        return next((blob for blob in self.index().blobs.values() if blob.sha256 == wanted), None)

    def key(self, account: str) -> bytes | None:
        """The key that signatures of an account are made with."""
        key = self.index().accounts.get(account)
        return base64.b64decode(key) if key is not None else None

    def open_account(self, account: str) -> None:
        """Make sure that an account has a key."""
        if self.key(account) is None:
            with self._alone():
                index = self.index()
                accounts = {**index.accounts}
                accounts.setdefault(account, _new_key())
                self._write(Index(accounts, index.blobs))

    def regenerate_key(self, account: str) -> bool:
        """Give an account another key: what was signed with the old one is refused; False without account."""
        with self._alone():
            index = self.index()
            if account not in index.accounts:
                return False
            self._write(Index({**index.accounts, account: _new_key()}, index.blobs))
        return True

    def file(self, blob: Blob) -> Path:
        """Where the content is."""
        return self.folder / "content" / blob.sha256

    def put(
        self,
        account: str,
        container: str,
        name: str,
        source: BinaryIO,
        *,
        modified: float,
        content_type: str = OCTETS,
        public: bool = False,
        kind: str = BLOCK,
    ) -> Blob:
        """Store a blob; one of the same name is replaced. On disk when this returns.

        Args:
            account: made with a key of its own if it is new.
            container: within it.
            name: within that.
            source: read to its end.
            modified: real epoch seconds.
            content_type: as it will be served.
            public: readable without a signature.
            kind: block blob or append blob.

        Raises:
            BlobNameError: a name that Azure would not allow.
            OSError: the folder cannot be written.
        """
        check_names(account, container, name)
        blob = Blob(account, container, name, 0, "", "", content_type, int(modified), public, kind)
        with self._alone():
            blob = self._save(blob, source)
            index = self.index()
            accounts = {**index.accounts}
            accounts.setdefault(account, _new_key())
            self._write(Index(accounts, {**index.blobs, blob.key: blob}))
        return blob

    def append(
        self, blob: Blob, source: BinaryIO, *, modified: float, check: Callable[[Blob], None]
    ) -> tuple[Blob, Blob]:
        """Add a block to an append blob; the blob before and after. On disk when this returns.

        Args:
            blob: which.
            source: read to its end.
            modified: real epoch seconds.
            check: raises if the blob, as it is now, must not become longer; nobody else writes meanwhile.

        Raises:
            OSError: the folder cannot be written.
            KeyError: it has been deleted.
        """
        with self._alone():
            index = self.index()
            before = index.blobs[blob.key]
            check(before)
            with self.file(before).open("rb") as content:
                draft = replace(before, modified=int(modified), blocks=before.blocks + 1)
                after = self._save(draft, content, source)
            self._write(Index(index.accounts, {**index.blobs, after.key: after}))
        return before, after

    def delete(self, account: str, container: str, name: str) -> bool:
        """Delete a blob; False if there is none."""
        with self._alone():
            index = self.index()
            blobs = dict(index.blobs)
            if blobs.pop(f"{account}/{container}/{name}", None) is None:
                return False
            self._write(Index(index.accounts, blobs))
        return True

    def _save(self, blob: Blob, *sources: BinaryIO) -> Blob:
        """Write the content, one source after the other, under its digest."""
        draft = self.folder / "content" / f".{os.getpid()}.new"
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        try:
            with draft.open("wb") as stream:
                for chunk in _chunks(sources):
                    size += len(chunk)
                    sha256.update(chunk)
                    md5.update(chunk)
                    stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
            known = replace(
                blob, size=size, sha256=sha256.hexdigest(), md5=base64.b64encode(md5.digest()).decode()
            )
            draft.replace(self.file(known))
        finally:
            draft.unlink(missing_ok=True)
        return known

    def _write(self, index: Index) -> None:
        blobs = [asdict(index.blobs[key]) for key in sorted(index.blobs)]
        self._file.write({"accounts": dict(index.accounts), "blobs": blobs})
        used = {blob.sha256 for blob in index.blobs.values()}
        for file in (self.folder / "content").iterdir():
            if file.name not in used:
                file.unlink()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two who write at once do so one after the other."""
        with self._file.alone():
            (self.folder / "content").mkdir(mode=0o700, exist_ok=True)
            yield


def _new_key() -> str:
    return base64.b64encode(secrets.token_bytes(64)).decode()


def _chunks(sources: Iterable[BinaryIO]) -> Iterator[bytes]:
    for source in sources:
        while chunk := source.read(_CHUNK):
            yield chunk


def check_names(account: str, container: str, name: str) -> None:
    """Refuse names that Azure would.

    Raises:
        BlobNameError: says which.
    """
    if not _ACCOUNT.fullmatch(account):
        raise BlobNameError(f"'{account}' is no account name: 3 to 24 lower-case letters and digits.")
    if not _CONTAINER.fullmatch(container):
        raise BlobNameError(
            f"'{container}' is no container name: 3 to 63 lower-case letters, digits and single hyphens."
        )
    if not 0 < len(name) <= MAX_NAME or not name.isprintable():
        raise BlobNameError(f"'{name}' is no blob name: 1 to {MAX_NAME} printable characters.")


def _parse(file: Path) -> Index:
    try:
        document = orjson.loads(file.read_bytes())
        blobs = [Blob(**entry) for entry in document["blobs"]]
        return Index(document["accounts"], {blob.key: blob for blob in blobs})
    except (ValueError, KeyError, TypeError) as error:
        raise BlobIndexError(f"{file} is damaged ({error}); remove it and upload again.") from error
