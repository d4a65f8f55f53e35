"""A machine's public key as ARM carries it: base64 of the DER form of a PKCS#1 ``RSAPublicKey``."""

from __future__ import annotations

import base64
import binascii
import hashlib
from functools import lru_cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

SMALLEST_BITS = 2048
LARGEST_BITS = 4096


class PublicKeyError(ValueError):
    """The text is no base64 PKCS#1 RSA public key of 2048 to 4096 bits; the message says why."""


@lru_cache(maxsize=4096)
def read_public_key(text: str) -> rsa.RSAPublicKey:
    """Parse ``properties.clientPublicKey``.

    Raises:
        PublicKeyError: it cannot be used.
    """
    der = _decode(text)
    try:
        key = serialization.load_der_public_key(der)
    except ValueError as error:
        raise PublicKeyError("it is no DER-encoded public key") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise PublicKeyError("it is no RSA key")
    if pkcs1(key) != der:
        raise PublicKeyError("it is no PKCS#1 RSAPublicKey")
    if not SMALLEST_BITS <= key.key_size <= LARGEST_BITS:
        raise PublicKeyError(f"it has {key.key_size} bits, and {SMALLEST_BITS} to {LARGEST_BITS} are allowed")
    return key


def pkcs1(key: rsa.RSAPublicKey) -> bytes:
    """The DER form of a PKCS#1 ``RSAPublicKey``."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)


@lru_cache(maxsize=4096)
def key_id(text: str) -> str:
    """SHA-256 of the DER form in base64url without padding: the ``kid`` of a proof of possession."""
    return base64.urlsafe_b64encode(hashlib.sha256(_decode(text)).digest()).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise PublicKeyError("it is no base64") from error
