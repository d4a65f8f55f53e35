"""Names of the machine and of its operating system."""

from __future__ import annotations

import configparser
import shlex
from collections.abc import Mapping
from functools import lru_cache

from arcbed_agent.errors import AgentError
from arcbed_agent.host.sources import Sources

UNKNOWN = "unknown"


def hostname(sources: Sources) -> str:
    """The short name.

    Raises:
        AgentError: 102, the kernel has no name for this machine.
    """
    shadowed = sources.read("etc/hostname") if len(sources.roots) > 1 else ""
    name = (shadowed or sources.read("proc/sys/kernel/hostname")).split(".", maxsplit=1)[0]
    if not name or name == "(none)":
        raise AgentError(102, "the machine has no host name", "Set one with hostnamectl set-hostname NAME.")
    return name


def os_release(sources: Sources) -> dict[str, str]:
    """The pairs of os-release(5)."""
    return dict(_pairs(sources.read("etc/os-release") or sources.read("usr/lib/os-release")))


@lru_cache(maxsize=4)
def _pairs(text: str) -> Mapping[str, str]:
    """Read afresh for each heartbeat, and nearly always the same: it is understood once."""
    pairs: dict[str, str] = {}
    for line in text.splitlines():
        name, found, value = line.strip().partition("=")
        if found and not name.startswith("#"):
            try:
                pairs[name] = (
                    "".join(shlex.split(value)) if not value.startswith(('"', "'")) else shlex.split(value)[0]
                )
            except (ValueError, IndexError):
                pairs[name] = value.strip("\"'")
    return pairs


def fqdn(sources: Sources, name: str) -> str:
    """The full name as ``hostname -f`` gives it; `name` itself without a domain."""
    configured = sources.read("proc/sys/kernel/hostname")
    if configured.startswith(f"{name}."):
        return configured
    canonical = sources.canonical_name(name).rstrip(".")
    return canonical if canonical.startswith(f"{name}.") else name


def ad_domain(sources: Sources) -> str:
    """The Active Directory domain that sssd has joined, empty when there is none."""
    settings = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        settings.read_string(sources.read("etc/sssd/sssd.conf"))
    except configparser.Error:
        return ""
    for section in settings.sections():
        if section.startswith("domain/") and settings.get(section, "id_provider", fallback="") == "ad":
            return settings.get(section, "ad_domain", fallback=section.removeprefix("domain/"))
    return ""


def names(sources: Sources) -> dict[str, str]:
    """machineFqdn, dnsFqdn, adFqdn and domainName; ``unknown`` where there is none, as the agent reports."""
    short = hostname(sources)
    full = fqdn(sources, short)
    domain = ad_domain(sources)
    return {
        "machineFqdn": f"{short}.{domain}" if domain else full,
        "dnsFqdn": full,
        "adFqdn": f"{short}.{domain}" if domain else UNKNOWN,
        "domainName": domain or UNKNOWN,
    }


def operating_system(sources: Sources) -> dict[str, str]:
    """osName, osType, osVersion (the kernel), osSku (the distribution) and osEdition."""
    release = os_release(sources)
    return {
        "osName": "linux",
        "osType": "linux",
        "osVersion": sources.read("proc/sys/kernel/osrelease"),
        "osSku": release.get("PRETTY_NAME") or release.get("NAME", UNKNOWN),
        "osEdition": UNKNOWN,
    }
