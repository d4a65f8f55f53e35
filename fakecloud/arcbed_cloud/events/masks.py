"""What is left out of a body before it is hashed; ``docs/reference/event-log.md`` lists it."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

#: Members that differ from run to run: secrets and keys and what follows from them, what follows from real
#: time or from the computer that a run happens on, and the ids of requests.
MASKED: Final = frozenset(
    {
        "accessKey",
        "access_token",
        "backend",
        "certificate",
        "certificates",
        "catalogSha256",
        "cgroup",
        "client_assertion",
        "client_secret",
        "clientPublicKey",
        "cpuSecondsUsed",
        "device_code",
        "enforced",
        "escapes",
        "expires_in",
        "expiresOn",
        "expires_on",
        "extensionsCpuUsage",
        "id_token",
        "kid",
        "metadata",
        "metadataHash",
        "newPublicKey",
        "not_before",
        "periods",
        "pid",
        "policyCpuUsage",
        "port",
        "refresh_token",
        "sendMetadata",
        "throttledPeriods",
        "throttledSeconds",
        "thumbprint",
        "trackingId",
        "usedSpaceInBytes",
        "user_code",
        "wallSeconds",
        "x5c",
        "x5t_s256",
    }
)
_TEXTS: Final = (
    # A JSON web token: signatures differ, and so do the instants of real time inside.
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "{token}"),
    # A shared access signature, with its dates.
    (re.compile(r"\?[^\s\"]*\bsig=[^\s\"]*"), "?{signature}"),
    # Ports are any that were free.
    (re.compile(r"\b(localhost|127\.0\.0\.1):\d+"), r"\1"),
)
#: A catalogue of an extension's package is clear-signed, with a date and a key that are the bed's own.
_SIGNED: Final = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE: Final = b"-----BEGIN PGP SIGNATURE-----"


class Digest:
    """Sixteen hex digits of SHA-256 over a body that arrives in parts, without what is masked.

    Args:
        content_type: JSON and forms are read, everything else counts as it is, less an OpenPGP signature.
        encoding: ``gzip`` or empty.
    """

    def __init__(self, content_type: str = "", encoding: str = "") -> None:
        self._json = "json" in content_type
        self._form = "x-www-form-urlencoded" in content_type
        self._encoding = encoding
        self._parts: list[bytes] = []
        self._sha = hashlib.sha256()
        self._empty = True
        self._signed = False

    def add(self, part: bytes) -> None:
        """One part more."""
        if self._empty and part.startswith(_SIGNED):
            self._signed = True
        self._empty = self._empty and not part
        if self._json or self._form or self._signed:
            self._parts.append(part)
        else:
            self._sha.update(part)

    def text(self) -> str:
        """The digits; empty for an empty body."""
        if self._empty:
            return ""
        if self._json or self._form:
            self._sha = hashlib.sha256(self._plain(b"".join(self._parts)))
        elif self._signed:
            self._sha = hashlib.sha256(b"".join(self._parts).partition(_SIGNATURE)[0])
        return self._sha.hexdigest()[:16]

    def _plain(self, body: bytes) -> bytes:
        try:
            if self._encoding == "gzip":
                body = gzip.decompress(body)
            document = orjson.loads(body) if self._json else dict(parse_qsl(body.decode()))
            return orjson.dumps(masked(document), option=orjson.OPT_SORT_KEYS)
        except (ValueError, OSError, zlib.error, EOFError):
            return body


def masked(value: Any) -> Any:
    """`value` without the members and parts of texts that are masked."""
    if isinstance(value, dict):
        return {name: masked(entry) for name, entry in value.items() if name not in MASKED}
    if isinstance(value, list):
        return [masked(entry) for entry in value]
    if isinstance(value, str):
        for pattern, instead in _TEXTS:
            value = pattern.sub(instead, value)
    return value
