"""Instances by the address that asks: the same machine gets the same answers, another gets others."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instance:
    """What a metadata service knows of one machine."""

    address: str
    digest: bytes

    @property
    def aws_id(self) -> str:
        """``i-`` and seventeen hexadecimal digits."""
        return f"i-{self.digest.hex()[:17]}"

    @property
    def gcp_id(self) -> str:
        """A number of nineteen digits at most."""
        return str(int.from_bytes(self.digest[:8]) >> 2)

    @property
    def vm_id(self) -> str:
        """Azure's GUID."""
        return str(uuid.UUID(bytes=self.digest[:16], version=4))


class Instances:
    """Draws instances from `seed`."""

    def __init__(self, seed: str) -> None:
        self._seed = seed

    def at(self, address: str) -> Instance:
        """The instance with this address."""
        return Instance(address, hashlib.sha256(f"{self._seed}/{address}".encode()).digest())
