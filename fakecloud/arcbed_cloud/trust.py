"""The bed's certificate authority and the certificates it issues."""

from __future__ import annotations

from pathlib import Path


class CertificateAuthority:
    """One per state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
