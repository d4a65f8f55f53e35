"""The machine's key and certificate on disk.

`identity.json` is what counts: it holds the credential with its certificate and is replaced in one step.
`private.pem` is the key. A rotation puts the new key beside the old one as `private.pem.next`, and it takes
the old one's place only after a certificate for it is on disk, so that a kill at any point leaves a pair
that fits. `public.pem` is a copy of the certificate for people and tools.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from arcbed_agent.cloud.his import Credential
from arcbed_agent.errors import AgentError
from arcbed_agent.files import flush_folder, make_folder, remove_durably, write_durably
from arcbed_agent.himds.keys import MachineKey
from arcbed_agent.host.layout import Layout


class Identity:
    """Key and credential of this machine; either may be missing."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout["certificates"]
        self._key_file = layout["machine_key"]
        self._next_file = self._key_file.with_name(f"{self._key_file.name}.next")
        self._certificate_file = layout["machine_certificate"]
        self._credential_file = self._folder / "identity.json"
        self.key: MachineKey | None = None
        self.credential: Credential | None = None
        self.certificate: x509.Certificate | None = None
        self._thumbprint: tuple[x509.Certificate, str] | None = None

    def load(self) -> None:
        """Read what is there, and finish a rotation that was cut short.

        Raises:
            AgentError: 103, the key cannot be read; 107, the certificate cannot; 104, the key for it is not
                there.
        """
        self.key = self.credential = self.certificate = None
        if self._key_file.exists():
            self.key = MachineKey.from_pem(self._key_file.read_bytes())
        if not self._credential_file.exists():
            return
        try:
            credential = Credential.from_json(json.loads(self._credential_file.read_bytes()))
            certificate = _leaf(credential)
        except ValueError as error:
            raise AgentError(107, f"the machine's certificate cannot be read: {error}") from error
        if self.key is None or not self.key.matches(certificate):
            self.key = self._finish_rotation(certificate)
        self.credential, self.certificate = credential, certificate
        if (
            not self._certificate_file.exists()
            or self._certificate_file.read_text() != credential.certificate
        ):
            write_durably(self._certificate_file, credential.certificate, mode=0o640)

    def create_key(self, key: MachineKey) -> None:
        """Make `key` this machine's, durably, before anybody is told of its public half."""
        make_folder(self._folder, mode=0o750)
        write_durably(self._key_file, key.pem, mode=0o600)
        self.key = key

    def prepare_rotation(self, key: MachineKey) -> None:
        """Put `key` on disk beside the current one."""
        write_durably(self._next_file, key.pem, mode=0o600)

    def prepared(self) -> MachineKey | None:
        """The key of a rotation that has not been completed."""
        return MachineKey.from_pem(self._next_file.read_bytes()) if self._next_file.exists() else None

    def install(self, credential: Credential) -> None:
        """Take `credential` into use; it is for the current key or for the prepared one.

        Raises:
            AgentError: 107, it is for neither, and nothing was changed.
        """
        try:
            certificate = _leaf(credential)
        except ValueError as error:
            raise AgentError(
                107, f"the certificate from the identity service cannot be read: {error}"
            ) from error
        prepared = self.prepared()
        key = next((item for item in (self.key, prepared) if item and item.matches(certificate)), None)
        if key is None:
            raise AgentError(107, "the certificate from the identity service is for another key")
        write_durably(self._credential_file, json.dumps(asdict(credential), indent=2) + "\n", mode=0o600)
        if key is prepared and key is not self.key:
            self._finish_rotation(certificate)
        write_durably(self._certificate_file, credential.certificate, mode=0o640)
        self.key, self.credential, self.certificate = key, credential, certificate

    def forget(self) -> None:
        """Remove certificate and keys."""
        self.key = self.credential = self.certificate = None
        for path in (self._credential_file, self._certificate_file, self._next_file, self._key_file):
            remove_durably(path)

    @property
    def thumbprint(self) -> str:
        """SHA-1 of the certificate in hex, or empty."""
        if self.certificate is None:
            return ""
        if self._thumbprint is None or self._thumbprint[0] is not self.certificate:
            digest = self.certificate.fingerprint(hashes.SHA1())  # noqa: S303 - Azure's name for it
            self._thumbprint = (self.certificate, digest.hex())
        return self._thumbprint[1]

    @property
    def not_after(self) -> datetime | None:
        """When the certificate runs out."""
        return self.certificate.not_valid_after_utc if self.certificate else None

    @property
    def renew_after(self) -> datetime | None:
        """From when on it may be renewed."""
        return datetime.fromisoformat(self.credential.renew_after) if self.credential else None

    def expired(self, now: datetime) -> bool:
        """Whether the certificate has run out."""
        return self.not_after is not None and now >= self.not_after

    def _finish_rotation(self, certificate: x509.Certificate) -> MachineKey:
        prepared = self.prepared()
        if prepared is None or not prepared.matches(certificate):
            raise AgentError(104, "the private key of the machine's certificate is not there")
        os.replace(self._next_file, self._key_file)  # noqa: PTH105 - the step that ends a rotation
        flush_folder(self._folder)
        return prepared


def _leaf(credential: Credential) -> x509.Certificate:
    datetime.fromisoformat(credential.renew_after)
    return x509.load_pem_x509_certificates(credential.certificate.encode())[0]
