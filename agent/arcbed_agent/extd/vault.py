"""The machine's certificate for protected settings, and its use.

Handlers decrypt with ``openssl cms -decrypt -inform DER -recip <THUMB>.crt -inkey <THUMB>.prv``; the pair
lies where the Azure Linux agent has it, in /var/lib/waagent. The key never leaves the machine.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from arcbed_agent.errors import AgentError
from arcbed_agent.files import make_folder, remove_durably, sweep, write_durably

_LIFE = timedelta(days=365 * 10)


class Vault:
    """Encrypts to the machine's own certificate.

    Args:
        folder: where the pair is or will be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._certificate: x509.Certificate | None = None
        self._key: rsa.RSAPrivateKey | None = None

    def open(self, now: datetime) -> None:
        """Read the pair, or make it; takes a fraction of a second then.

        Raises:
            OSError: it cannot be written.
        """
        make_folder(self._folder, mode=0o755)
        sweep(self._folder)
        if self.read():
            return
        # A key whose certificate a kill kept from being written has encrypted nothing yet.
        for path in self._folder.glob("*.prv"):
            if not path.with_suffix(".crt").exists():
                remove_durably(path)
        self._make(now)

    def read(self) -> bool:
        """Read the pair, if there is one; changes nothing."""
        return any(self._read(path) for path in sorted(self._folder.glob("*.crt")))

    def _read(self, path: Path) -> bool:
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            key = serialization.load_pem_private_key(path.with_suffix(".prv").read_bytes(), None)
        except (OSError, ValueError):
            return False
        if not isinstance(key, rsa.RSAPrivateKey) or key.public_key() != certificate.public_key():
            return False
        if thumbprint(certificate) != path.stem:
            return False
        self._certificate, self._key = certificate, key
        return True

    def _make(self, now: datetime) -> None:
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Arc extension settings")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + _LIFE)
            .sign(key, hashes.SHA256())
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        thumb = thumbprint(certificate)
        # The key first: a certificate without its key would not be found at the next start.
        write_durably(self._folder / f"{thumb}.prv", pem)
        write_durably(self._folder / f"{thumb}.crt", certificate.public_bytes(serialization.Encoding.PEM))
        self._certificate, self._key = certificate, key

    @property
    def thumbprint(self) -> str:
        """SHA-1 of the certificate, 40 hex digits in upper case.

        Raises:
            AgentError: 2, the pair has not been opened.
        """
        return thumbprint(self._opened()[0])

    def seal(self, settings: dict[str, Any]) -> str:
        """`settings` as base64 of DER CMS EnvelopedData, AES-256."""
        certificate, _ = self._opened()
        sealed = (
            pkcs7.PKCS7EnvelopeBuilder()
            .set_data(json.dumps(settings).encode())
            .add_recipient(certificate)
            .set_content_encryption_algorithm(algorithms.AES256)
            .encrypt(serialization.Encoding.DER, [pkcs7.PKCS7Options.Binary])
        )
        return base64.b64encode(sealed).decode()

    def unseal(self, sealed: str) -> dict[str, Any]:
        """What `seal` was given.

        Raises:
            ValueError: it was sealed for another certificate, or is broken.
        """
        certificate, key = self._opened()
        plain = pkcs7.pkcs7_decrypt_der(base64.b64decode(sealed), certificate, key, [])
        document: dict[str, Any] = json.loads(plain)
        return document

    def _opened(self) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
        if self._certificate is None or self._key is None:
            raise AgentError(2, "the certificate for protected settings has not been opened")
        return self._certificate, self._key


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-1 of a certificate as the handler contract writes it."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - the contract's name for it
