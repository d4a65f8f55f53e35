"""The key that the repositories of a bed are signed with; made when first needed, kept with the state."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pysequoia import Profile, SignatureMode, Tsk, sign

from arcbed_cloud.files import write_atomic

USER_ID = "arcbed package signing (not Microsoft's) <arcbed@localhost>"


class SigningKey:
    """``packages/signing.key`` (0600) below a state folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _key(self) -> Tsk:
        file = self._folder / "signing.key"
        if not file.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # The older profile: apt verifies with GnuPG 2.2, which does not read version 6 keys.
            write_atomic(file, str(Tsk.generate(USER_ID, profile=Profile.RFC4880)), mode=0o600)
        return Tsk.from_file(str(file))

    @property
    def public(self) -> bytes:
        """The public key, as apt's ``signed-by`` takes it."""
        return bytes(self._key.extract_certificate())

    @property
    def public_armored(self) -> bytes:
        """The public key as text."""
        return str(self._key.extract_certificate()).encode()

    def clear(self, text: bytes) -> bytes:
        """`text` with its signature around it, as ``InRelease`` is."""
        return bytes(sign(self._key.signer(), text, mode=SignatureMode.CLEAR))

    def detached(self, content: bytes) -> bytes:
        """The signature of `content` as text."""
        return bytes(sign(self._key.signer(), content, mode=SignatureMode.DETACHED))
