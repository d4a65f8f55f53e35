"""Protected settings while an operation needs them: sealed in the state, their key in a file of its own."""

from __future__ import annotations

import hashlib
import hmac
from functools import cached_property
from pathlib import Path

import orjson
from cryptography.fernet import Fernet, InvalidToken

from arcbed_cloud.files import write_atomic
from arcbed_cloud.store.contract import Document


class Vault:
    """``protected-settings.key`` (0600) below a state folder; snapshots do not hold it."""

    def __init__(self, state: Path) -> None:
        self._file = state / "protected-settings.key"

    @cached_property
    def _key(self) -> bytes:
        if not self._file.exists():
            write_atomic(self._file, Fernet.generate_key(), mode=0o600)
        return self._file.read_bytes()

    def seal(self, settings: Document) -> str:
        """Encrypted text of `settings`."""
        return Fernet(self._key).encrypt(orjson.dumps(settings)).decode()

    def open(self, sealed: str) -> Document | None:
        """What was sealed; None if the key is another one, as after a copy of the state alone."""
        try:
            document: Document = orjson.loads(Fernet(self._key).decrypt(sealed.encode()))
        except InvalidToken:
            return None
        return document

    def digest(self, settings: Document) -> str:
        """Equal settings have equal digests, which tell nothing without the key."""
        content = orjson.dumps(settings, option=orjson.OPT_SORT_KEYS)
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()
