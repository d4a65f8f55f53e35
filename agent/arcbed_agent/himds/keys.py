"""The machine's RSA key and what is signed with it: proofs of possession and client assertions.

Shapes: ``docs/wire.md``, sections 5.2, 6 and 8.1.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from arcbed_agent.errors import AgentError

#: Seconds that a proof or an assertion is good for.
PROOF_LIFE = 300
ASSERTION_LIFE = 600


class MachineKey:
    """An RSA key that never leaves this machine."""

    def __init__(self, private: rsa.RSAPrivateKey) -> None:
        self._private = private
        self._der = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.PKCS1
        )

    @classmethod
    def generate(cls) -> MachineKey:
        """A new key of 2048 bits; takes a tenth of a second of CPU."""
        return cls(rsa.generate_private_key(public_exponent=65_537, key_size=2048))

    @classmethod
    def from_pem(cls, pem: bytes) -> MachineKey:
        """Read an unencrypted key.

        Raises:
            AgentError: 103, it is not an RSA key.
        """
        try:
            key = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise AgentError(103, f"the machine's private key cannot be read: {error}") from error
        if not isinstance(key, rsa.RSAPrivateKey):
            raise AgentError(103, "the machine's private key is not an RSA key")
        return cls(key)

    @property
    def pem(self) -> bytes:
        """PKCS#8, not encrypted."""
        return self._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public_text(self) -> str:
        """ARM's `clientPublicKey`: base64 of the PKCS#1 DER."""
        return base64.b64encode(self._der).decode()

    @property
    def kid(self) -> str:
        """Unpadded base64url of the SHA-256 of the PKCS#1 DER."""
        return _b64url(hashlib.sha256(self._der).digest())

    def matches(self, certificate: x509.Certificate) -> bool:
        """Whether `certificate` is for this key."""
        return certificate.public_key() == self._private.public_key()

    def proof(
        self, *, vm_id: str, resource_id: str, method: str, url: str, body: bytes, now: float, jti: str
    ) -> str:
        """A proof of possession for one request; `now` is real epoch seconds.

        Raises:
            AgentError: 105, signing failed.
        """
        payload = {
            "iss": vm_id,
            "sub": resource_id,
            "htm": method,
            "htu": url.partition("?")[0],
            "bh": _b64url(hashlib.sha256(body).digest()),
            "iat": int(now),
            "exp": int(now) + PROOF_LIFE,
            "jti": jti,
        }
        return self._sign(payload, {"typ": "arc-pop+jwt", "kid": self.kid})

    def assertion(self, chain: str, *, client_id: str, audience: str, now: float, jti: str) -> str:
        """A client assertion for Entra with the certificate chain (PEM, leaf first) and both thumbprints.

        Raises:
            AgentError: 105, signing failed.
        """
        certificates = x509.load_pem_x509_certificates(chain.encode())
        leaf = certificates[0]
        headers = {
            "x5c": [
                base64.b64encode(item.public_bytes(serialization.Encoding.DER)).decode()
                for item in certificates
            ],
            "x5t": _b64url(leaf.fingerprint(hashes.SHA1())),  # noqa: S303 - Entra's name for the certificate
            "x5t#S256": _b64url(leaf.fingerprint(hashes.SHA256())),
        }
        payload = {
            "aud": audience,
            "iss": client_id,
            "sub": client_id,
            "iat": int(now),
            "nbf": int(now),
            "exp": int(now) + ASSERTION_LIFE,
            "jti": jti,
        }
        return self._sign(payload, headers)

    def _sign(self, payload: dict[str, Any], headers: Mapping[str, Any]) -> str:
        try:
            return jwt.encode(payload, self._private, algorithm="RS256", headers=dict(headers))
        except (jwt.PyJWTError, ValueError) as error:
            raise AgentError(105, f"a message could not be signed with the machine's key: {error}") from error


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
