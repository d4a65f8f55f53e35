"""Regions, their shards, and the addresses of the services of each: what discovery answers.

The shard codes marked as seen come from published endpoint checks and agent logs; the others are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from arcbed_cloud import hosts
from arcbed_cloud.arm.validation import normalised
from arcbed_cloud.providers.hybridcompute.manifest import REGIONS
from arcbed_cloud.services.his.errors import HisError, invalid_request

CONTRACT = "sim-1"
TTL_SECONDS = 86_400

_SEEN = {
    "australiaeast": "ae",
    "brazilsouth": "brs",
    "canadacentral": "cc",
    "centralus": "scus",
    "eastasia": "ea",
    "eastus": "eus",
    "eastus2": "eus2",
    "francecentral": "fc",
    "germanywestcentral": "gwc",
    "israelcentral": "ilc",
    "italynorth": "itn",
    "japaneast": "je",
    "koreacentral": "kc",
    "northeurope": "ne",
    "qatarcentral": "qac",
    "southafricanorth": "san",
    "southcentralus": "scus",
    "southeastasia": "sea",
    "swedencentral": "sec",
    "uaenorth": "uaen",
    "uksouth": "uks",
    "westcentralus": "wcus",
    "westeurope": "weu",
    "westus2": "wus2",
}
_OURS = {
    "australiasoutheast": "ase",
    "canadaeast": "ce",
    "centralindia": "cid",
    "centraluseuap": "cuse",
    "eastus2euap": "eus2e",
    "japanwest": "jw",
    "northcentralus": "ncus",
    "norwayeast": "noe",
    "southindia": "sid",
    "switzerlandnorth": "swn",
    "ukwest": "ukw",
    "westus": "wus",
    "westus3": "wus3",
}
SHARDS = {name: {**_SEEN, **_OURS}[name] for name in map(normalised, REGIONS)}

# By the top of the host name that was asked: login, ARM, relay suffix.
_CLOUDS = {
    "com": ("https://login.microsoftonline.com/", "https://management.azure.com", "servicebus.windows.net"),
    "us": (
        "https://login.microsoftonline.us/",
        "https://management.usgovcloudapi.net",
        "servicebus.usgovcloudapi.net",
    ),
    "cn": (
        "https://login.chinacloudapi.cn/",
        "https://management.chinacloudapi.cn",
        "servicebus.chinacloudapi.cn",
    ),
}

RELAYS = {top: relay for top, (_, _, relay) in _CLOUDS.items()}


@dataclass(frozen=True, slots=True)
class Address:
    """How the service was reached: ``https://host[:port]``, with the path prefix where there is no DNS."""

    base: str

    @property
    def _azure(self) -> bool:
        return hosts.service_of(urlsplit(self.base).netloc) == "his"

    @property
    def _top(self) -> str:
        return hosts.bare(urlsplit(self.base).netloc).rpartition(".")[2]

    @property
    def _port(self) -> str:
        port = urlsplit(self.base).port
        return f":{port}" if port not in {None, 443} else ""

    @property
    def root(self) -> str:
        """The listener without the service's path prefix."""
        return self.base.removesuffix("/his")

    def his(self, location: str) -> str:
        """The regional identity service."""
        if not self._azure:
            return self.base
        return f"https://{SHARDS[location]}.his.arc.azure.{self._top}{self._port}"

    def login(self) -> str:
        """The authority, to which ``<tenant>/oauth2/v2.0/token`` is appended."""
        return self._on_port(_CLOUDS[self._top][0]) if self._azure else f"{self.root}/"

    def services(self, location: str) -> dict[str, Any]:
        """The discovery document of ``sim-1`` for a normalised region."""
        document: dict[str, Any] = {"location": location, "his": self.his(location)}
        if self._azure:
            top, port = self._top, self._port
            _, arm, relay = _CLOUDS[top]
            document |= {
                "gasGlobal": f"https://agentserviceapi.guestconfiguration.azure.{top}{port}",
                "gas": f"https://{location}-gas.guestconfiguration.azure.{top}{port}",
                "gns": f"https://guestnotificationservice.azure.{top}{port}",
                "relaySuffix": f"{relay}{port}",
                "login": self.login(),
                "arm": self._on_port(arm),
            }
        else:
            document |= {
                "gasGlobal": f"{self.root}/gas",
                "gas": f"{self.root}/gas",
                "gns": f"{self.root}/gns",
                "relaySuffix": f"{self.root.partition('://')[2]}/relay",
                "login": self.login(),
                "arm": self.root,
            }
        return document | {"contract": CONTRACT, "ttlSeconds": TTL_SECONDS}

    def _on_port(self, url: str) -> str:
        host, slash, rest = url.removeprefix("https://").partition("/")
        return f"https://{host}{self._port}{slash}{rest}"


def region(location: str) -> str:
    """The normalised name of a region.

    Raises:
        HisError: 400 InvalidRequest for none, UnknownLocation for one that does not exist.
    """
    if not location:
        raise invalid_request("The query parameter 'location' is required.", "location")
    name = normalised(location)
    if name not in SHARDS:
        raise HisError(400, "UnknownLocation", f"The location '{location}' is unknown.", "location")
    return name
