"""The agent's package, for stories that install it."""

from __future__ import annotations

import os
from pathlib import Path

from arcbed.harness.errors import NotCoveredError


def agent_package() -> Path:
    """The newest .deb of the agent in ``$ARCBED_PACKAGES``, else in ``dist``.

    Raises:
        NotCoveredError: there is none.
    """
    folder = Path(os.environ.get("ARCBED_PACKAGES") or "dist")
    found = sorted(folder.glob("azcmagent_*.deb"), key=lambda file: file.stat().st_mtime)
    if not found:
        raise NotCoveredError(f"there is no package of the agent in {folder}: make packages")
    return found[-1]
