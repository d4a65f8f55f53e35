"""The machine that resources look at and change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class DscHost(Protocol):
    """What resources may ask of a machine."""

    @property
    def root(self) -> Path:
        """Where the machine's ``/`` is."""


class LinuxHost:
    """A Linux machine whose ``/`` is `root`.

    Args:
        root: a folder other than ``/`` stands for a whole machine; changes inside it are always allowed.
        writable: folders of the real machine that may be changed without leave (the agent's own root).
    """

    def __init__(self, root: str | Path = "/", *, writable: Sequence[Path] = ()) -> None:
        self.root = Path(root)
        self._writable = tuple(writable)
