"""The agent's packages, for stories that install it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from arcbed.harness.errors import NotCoveredError
from arcbed.harness.machine import Machine
from arcbed.harness.process import Completed

#: The bed's networks do not lead to Debian's repositories; what the package needs is on the machine.
OFFLINE: Final = "rm -f /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources"


def version(package: Path) -> str:
    """``1.67.3399.1`` of ``azcmagent_1.67.3399.1_amd64.deb``."""
    return package.name.split("_")[1]


def agent_packages(count: int = 1) -> list[Path]:
    """The .debs of the agent's `count` newest versions, oldest first.

    They are looked for in ``$ARCBED_PACKAGES``, else in ``dist``.

    Raises:
        NotCoveredError: there are fewer.
    """
    folder = Path(os.environ.get("ARCBED_PACKAGES") or "dist")
    found = sorted(folder.glob("azcmagent_*.deb"), key=_order)
    if not found:
        raise NotCoveredError(f"there is no package of the agent in {folder}: make packages")
    if len(found) < count:
        raise NotCoveredError(
            f"there is one version of the agent in {folder}, and an upgrade takes two: "
            "make packages AGENT_VERSION=1.68.0.0"
        )
    return found[-count:]


async def shell(machine: Machine, line: str) -> Completed:
    """Run a line of shell on the machine; an installation has three minutes."""
    return await machine.command("bash", "-c", line, limit=180)


def _order(package: Path) -> list[int]:
    return [int(part) for part in version(package).split(".")]
