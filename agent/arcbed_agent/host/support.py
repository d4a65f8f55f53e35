"""Which systems may be connected: tables, so that another year is another row.

Source: Microsoft's article "Connected Machine agent prerequisites" (2022-03 and 2026-08), supported
    operating systems.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from arcbed_agent.errors import AgentError
from arcbed_agent.host.identity import os_release
from arcbed_agent.host.sources import Sources


@dataclass(frozen=True)
class SupportTable:
    """Systems supported at one time.

    Args:
        versions: os-release ID to the versions supported; ``8`` takes 8.6 along, ``15.3`` only itself.
        architectures: as ``uname -m`` prints them.
    """

    versions: Mapping[str, tuple[str, ...]]
    architectures: tuple[str, ...]

    def supports(self, distribution: str, version: str) -> bool:
        """Whether `distribution` in `version` is listed."""
        return any(
            version == listed or version.startswith(f"{listed}.")
            for listed in self.versions.get(distribution, ())
        )


CURRENT, SEED = "current", "2022"
TABLES: Mapping[str, SupportTable] = {
    SEED: SupportTable(
        versions={
            "ubuntu": ("16.04", "18.04", "20.04"),
            "rhel": ("7", "8"),
            "centos": ("7", "8"),
            "sles": ("12", "15"),
            "ol": ("7", "8"),
            "amzn": ("2",),
        },
        architectures=("x86_64",),
    ),
    CURRENT: SupportTable(
        versions={
            "ubuntu": ("18.04", "20.04", "22.04", "24.04", "26.04"),
            "rhel": ("7", "8", "9", "10"),
            "sles": ("12.5", "15.3", "15.4", "15.5", "15.6", "15.7", "16"),
            "ol": ("7", "8", "9", "10"),
            "amzn": ("2", "2023"),
            "debian": ("11", "12", "13"),
            "rocky": ("8", "9", "10"),
            "almalinux": ("8", "9", "10"),
            "azurelinux": ("3",),
        },
        architectures=("x86_64", "aarch64"),
    ),
}
#: Appliances that manage themselves: their systems name themselves so in os-release.
APPLIANCES = ("Azure Stack HCI", "Azure Stack Edge")


def unsupported_system(sources: Sources, table: str) -> AgentError | None:
    """Why `table` does not list this system, or None.

    Raises:
        AgentError: 23, there is no such table.
    """
    if table not in TABLES:
        raise AgentError(23, f"host.supportTable must be one of {', '.join(TABLES)}, not {table}")
    release = os_release(sources)
    shown = release.get("PRETTY_NAME") or release.get("NAME", "an unknown system")
    if any(appliance.lower() in shown.lower() for appliance in APPLIANCES):
        return AgentError(3, f"{shown} is managed through its own Azure resource and cannot be connected")
    distribution, version = release.get("ID", ""), release.get("VERSION_ID", "")
    rules = TABLES[table]
    if sources.architecture not in rules.architectures:
        return AgentError(3, f"processor architecture {sources.architecture} is not supported")
    if not rules.supports(distribution.removesuffix("_sap"), version):
        return AgentError(
            3,
            f"operating system {shown} is not supported",
            "See the supported operating systems in the agent's prerequisites, "
            "or choose another table with host.supportTable in localconfig.json.",
        )
    return None
