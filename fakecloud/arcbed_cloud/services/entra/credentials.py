"""Client secrets and certificates as the directory keeps them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

ALPHABET = string.ascii_letters + string.digits + "_.~-"
SECRET_LENGTH = 40


class SecretCheck(Enum):
    """What came of comparing a secret."""

    VALID = "valid"
    EXPIRED = "expired"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that a principal may sign with."""

    certificate: x509.Certificate
    thumbprint: str
    x5t: str
    x5t_s256: str


def real_time(wall: float) -> datetime:
    """Epoch seconds as an aware datetime."""
    return datetime.fromtimestamp(wall, UTC)


def base64url(data: bytes) -> str:
    """Unpadded, as JOSE writes it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# -- secrets -------------------------------------------------------------------------------------------------


def new_secret() -> str:
    """Forty characters in the pattern of Entra's own secrets (``abc8Q~...``)."""
    drawn = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH - 3))
    return f"{drawn[:3]}8Q~{drawn[3:]}"


def hashed(secret: str, *, key_id: str, expires: float, label: str) -> dict[str, Any]:
    """What is stored: never the text. Secrets have 200 bits and more, a salted hash withstands guessing."""
    salt = secrets.token_bytes(16)
    return {
        "keyId": key_id,
        "label": label,
        "hint": secret[:3],
        "salt": salt.hex(),
        "digest": _digest(salt, secret),
        "expires": expires,
    }


def check(secret: str, entries: Iterable[dict[str, Any]], now: float) -> SecretCheck:
    """Compare with every entry, in constant time for each."""
    outcome = SecretCheck.WRONG
    for entry in entries:
        digest = _digest(bytes.fromhex(entry["salt"]), secret)
        if hmac.compare_digest(digest, entry["digest"]):
            if entry["expires"] > now:
                return SecretCheck.VALID
            outcome = SecretCheck.EXPIRED
    return outcome


def _digest(salt: bytes, secret: str) -> str:
    return hashlib.sha256(salt + secret.encode()).hexdigest()


# -- certificates --------------------------------------------------------------------------------------------


def stored(certificate: x509.Certificate) -> dict[str, Any]:
    """A certificate as a document."""
    der = certificate.public_bytes(serialization.Encoding.DER)
    return {
        "thumbprint": certificate.fingerprint(hashes.SHA1()).hex().upper(),  # noqa: S303 - Azure's name for it
        "notAfter": certificate.not_valid_after_utc.timestamp(),
        "der": base64.b64encode(der).decode(),
    }


def parsed(entry: dict[str, Any]) -> Certificate:
    """A stored certificate with the names that assertions call it by."""
    certificate = x509.load_der_x509_certificate(base64.b64decode(entry["der"]))
    sha1 = certificate.fingerprint(hashes.SHA1())  # noqa: S303 - x5t is defined so
    return Certificate(
        certificate,
        thumbprint=entry["thumbprint"],
        x5t=base64url(sha1),
        x5t_s256=base64url(certificate.fingerprint(hashes.SHA256())),
    )


def current(entries: Sequence[dict[str, Any]], now: datetime, *, without: str) -> list[dict[str, Any]]:
    """The entries that have not run out, but for one thumbprint."""
    return [
        entry for entry in entries if entry["notAfter"] > now.timestamp() and entry["thumbprint"] != without
    ]
