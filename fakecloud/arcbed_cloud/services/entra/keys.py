"""The keys that tokens are signed with: RSA, in the state folder, published as a JSON Web Key Set."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from arcbed_cloud.clock import Keeper
from arcbed_cloud.files import write_atomic
from arcbed_cloud.services.entra.credentials import base64url, real_time

CERTIFICATE_DAYS = 365 * 5
_PAIR = re.compile(
    rb"(-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----)\s+"
    rb"(-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----)",
    re.DOTALL,
)


@dataclass(frozen=True)
class SigningKey:
    """One key pair; `kid` is the thumbprint of its certificate, as Entra has it."""

    kid: str
    private: rsa.RSAPrivateKey
    public: rsa.RSAPublicKey
    certificate: x509.Certificate

    def jwk(self, issuer: str) -> dict[str, Any]:
        """The public half as Entra publishes it."""
        numbers = self.public.public_numbers()
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
            "e": base64url(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")),
            "x5c": [base64.b64encode(der).decode()],
            "cloud_instance_name": "microsoftonline.com",
            "issuer": issuer,
        }


class SigningKeys:
    """The keys of one state folder, newest first, in ``token-keys.pem`` (0600); made at first use."""

    def __init__(self, folder: Path, clock: Keeper) -> None:
        self._file = folder / "token-keys.pem"
        self._clock = clock
        self._keys = self._load() or [self._make()]
        if not self._file.exists():
            self._save()

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        return self._keys[0]

    @property
    def published(self) -> list[SigningKey]:
        """Every key that signatures are accepted from."""
        return list(self._keys)

    def by_kid(self, kid: str) -> SigningKey | None:
        """The key of this name, or None."""
        return next((key for key in self._keys if key.kid == kid), None)

    def rotate(self, *, keep: int) -> SigningKey:
        """Sign with a new key and go on accepting the `keep` newest earlier ones."""
        self._keys = [self._make(), *self._keys[:keep]]
        self._save()
        return self.current

    def _load(self) -> list[SigningKey]:
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return []
        return [_read(key, certificate) for key, certificate in _PAIR.findall(content)]

    def _save(self) -> None:
        parts = []
        for key in self._keys:
            parts.append(
                key.private.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            parts.append(key.certificate.public_bytes(serialization.Encoding.PEM))
        write_atomic(self._file, b"".join(parts), mode=0o600)

    def _make(self) -> SigningKey:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        now = real_time(self._clock.wall())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "accounts.accesscontrol.windows.net")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
            .sign(private, hashes.SHA256())
        )
        return _named(private, certificate)


def _read(key: bytes, certificate: bytes) -> SigningKey:
    private = serialization.load_pem_private_key(key, None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise TypeError("token-keys.pem holds a key that is not RSA")
    return _named(private, x509.load_pem_x509_certificate(certificate))


def _named(private: rsa.RSAPrivateKey, certificate: x509.Certificate) -> SigningKey:
    kid = base64url(certificate.fingerprint(hashes.SHA1()))  # noqa: S303 - a name, not a proof
    return SigningKey(kid, private, private.public_key(), certificate)
