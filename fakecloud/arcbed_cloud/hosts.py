"""The host names of Azure that the control plane answers for, and which service stands behind each.

Source: the network requirements of Azure Arc-enabled servers (public, US Government and China clouds).
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

# Service -> host patterns; `*.` stands for one or more labels when a request is dispatched.
SERVICES: dict[str, tuple[str, ...]] = {
    "login": (
        "login.microsoftonline.com",
        "login.windows.net",
        "login.microsoft.com",
        "*.login.microsoft.com",
        "sts.windows.net",
        "login.microsoftonline.us",
        "login.chinacloudapi.cn",
        "login.partner.microsoftonline.cn",
        "login.partner.chinacloudapi.cn",
    ),
    "arm": (
        "management.azure.com",
        "*.management.azure.com",
        "management.usgovcloudapi.net",
        "management.chinacloudapi.cn",
    ),
    "graph": ("graph.microsoft.com", "graph.microsoft.us", "microsoftgraph.chinacloudapi.cn"),
    "his": ("*.his.arc.azure.com", "*.his.arc.azure.us", "*.his.arc.azure.cn"),
    "gas": (
        "*.guestconfiguration.azure.com",
        "*.guestconfiguration.azure.us",
        "*.guestconfiguration.azure.cn",
    ),
    "gns": (
        "guestnotificationservice.azure.com",
        "*.guestnotificationservice.azure.com",
        "guestnotificationservice.azure.us",
        "*.guestnotificationservice.azure.us",
        "guestnotificationservice.azure.cn",
        "*.guestnotificationservice.azure.cn",
    ),
    "relay": ("*.servicebus.windows.net", "*.servicebus.usgovcloudapi.net", "*.servicebus.chinacloudapi.cn"),
    "blob": ("*.blob.core.windows.net", "*.blob.core.usgovcloudapi.net", "*.blob.core.chinacloudapi.cn"),
    "pas": ("pas.windows.net", "pasff.usgovcloudapi.net", "pas.chinacloudapi.cn"),
    "packages": ("packages.microsoft.com", "download.microsoft.com", "aka.ms"),
    "telemetry": ("dc.services.visualstudio.com",),
    "licensing": ("dls.microsoft.com", "*.waconazure.com", "*.arcdataservices.com"),
}

# Path prefixes that stand for a host name where there is no DNS for it.
PREFIXES = ("arm", "login", "graph", "his", "gas", "gns", "relay", "blob", "packages")

LOCAL = ("localhost", "127.0.0.1", "::1")

_EXACT = {host: service for service, hosts in SERVICES.items() for host in hosts if host[0] != "*"}
_SUFFIX = {host[1:]: service for service, hosts in SERVICES.items() for host in hosts if host[0] == "*"}


def patterns() -> list[str]:
    """Every host pattern, in table order: the names of the server certificate."""
    return [host for hosts in SERVICES.values() for host in hosts]


def suffixes() -> list[str]:
    """The DNS subtrees that the authority may vouch for: each pattern without its wildcard."""
    return sorted({pattern.removeprefix("*.") for pattern in patterns()})


def bare(host: str) -> str:
    """A ``Host`` header without its port and brackets, in lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() else host


@lru_cache(maxsize=4096)
def service_of(host: str) -> str | None:
    """The service behind a ``Host`` header, or None for a name that is not Azure's."""
    name = bare(host).rstrip(".")
    if service := _EXACT.get(name):
        return service
    labels = name.split(".")
    for index in range(1, len(labels)):
        if service := _SUFFIX.get("." + ".".join(labels[index:])):
            return service
    return None


def login_of(arm: str) -> str | None:
    """The origin of the authority that belongs to an ARM host of Azure; None for any other host."""
    if service_of(arm) != "arm":
        return None
    name = bare(arm)
    if name.endswith(".usgovcloudapi.net"):
        return "https://login.microsoftonline.us"
    if name.endswith(".chinacloudapi.cn"):
        return "https://login.chinacloudapi.cn"
    return "https://login.microsoftonline.com"


def graph_of(arm: str) -> str | None:
    """The origin of Microsoft Graph that belongs to an ARM host of Azure; None for any other host."""
    if service_of(arm) != "arm":
        return None
    name = bare(arm)
    if name.endswith(".usgovcloudapi.net"):
        return "https://graph.microsoft.us"
    if name.endswith(".chinacloudapi.cn"):
        return "https://microsoftgraph.chinacloudapi.cn"
    return "https://graph.microsoft.com"


def is_loopback(host: str) -> bool:
    """True for ``localhost`` and for literal loopback addresses."""
    name = bare(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
