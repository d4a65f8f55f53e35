"""Where the cloud is: configuration first, then ARM's own metadata, then what is known of each cloud.

Order and answers: ``docs/wire.md``, "How an agent finds its endpoints" and "Discovery".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.transport import CloudError, Transport, UnreachableError, document_of
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError

CONTRACT = "sim-1"


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """The global addresses of one cloud.

    URLs without a slash at the end, empty where a cloud has no such service.
    """

    arm: str
    login: str
    his: str
    gas: str
    gns: str
    relay_suffix: str
    #: ``compute.azEnvironment`` of the local metadata endpoint.
    environment: str = "AzurePublicCloud"


@dataclass(frozen=True, kw_only=True)
class Region:
    """What discovery answered for one region; URLs without a slash at the end."""

    location: str
    his: str
    gas: str
    gns: str
    relay_suffix: str
    login: str
    ttl_seconds: int = 86_400


#: Hosts: Microsoft's article "Connected Machine agent network requirements".
CLOUDS: Final[Mapping[str, Endpoints]] = MappingProxyType(
    {
        "AzureCloud": Endpoints(
            arm="https://management.azure.com",
            login="https://login.microsoftonline.com",
            his="https://gbl.his.arc.azure.com",
            gas="https://agentserviceapi.guestconfiguration.azure.com",
            gns="https://guestnotificationservice.azure.com",
            relay_suffix="servicebus.windows.net",
        ),
        "AzureUSGovernment": Endpoints(
            arm="https://management.usgovcloudapi.net",
            login="https://login.microsoftonline.us",
            his="https://gbl.his.arc.azure.us",
            gas="https://agentserviceapi.guestconfiguration.azure.us",
            gns="",
            relay_suffix="servicebus.usgovcloudapi.net",
            environment="AzureUSGovernmentCloud",
        ),
        "AzureChinaCloud": Endpoints(
            arm="https://management.chinacloudapi.cn",
            login="https://login.chinacloudapi.cn",
            his="https://gbl.his.arc.azure.cn",
            gas="https://agentserviceapi.guestconfiguration.azure.cn",
            gns="https://guestnotificationservice.azure.cn",
            relay_suffix="servicebus.chinacloudapi.cn",
            environment="AzureChinaCloud",
        ),
    }
)

_KEYS: Final = {
    "arm": "endpoints.arm",
    "login": "endpoints.login",
    "his": "endpoints.his",
    "gas": "endpoints.gas",
    "gns": "endpoints.gns",
    "relay_suffix": "endpoints.relaySuffix",
}


async def resolve(transport: Transport, config: LocalConfig, cloud: str) -> Endpoints:
    """The endpoints of `cloud`, as `config` and ARM's metadata change them.

    A metadata document is asked for only when `endpoints.arm` names an ARM that is not one of Azure's:
    there it must be found, since falling back would send this machine's credentials to Azure.

    Raises:
        AgentError: 23, `cloud` is unknown; 26, ARM's metadata cannot be had or names no identity service.
    """
    if cloud not in CLOUDS:
        raise AgentError(23, f"unknown cloud '{cloud}', expected one of {', '.join(CLOUDS)}")
    explicit = {name: config.text(key).rstrip("/") for name, key in _KEYS.items() if config.text(key)}
    known = CLOUDS[cloud]
    if explicit.get("arm", known.arm) not in {entry.arm for entry in CLOUDS.values()}:
        known = await _ask(transport, explicit, cloud)
    return replace(known, **explicit)


async def _ask(transport: Transport, explicit: Mapping[str, str], cloud: str) -> Endpoints:
    arm = explicit["arm"]
    needed = _KEYS.keys() - explicit.keys()
    found: dict[str, str] = {}
    if needed:
        try:
            answer = await transport.send(
                "GET", f"{arm}/metadata/endpoints", params={"api-version": "2022-09-01"}
            )
            found = _read(answer.json(), cloud)
        except (UnreachableError, CloudError, ValueError) as error:
            raise AgentError(26, f"cannot read the endpoints of {arm}: {error}") from error
    merged = {**found, **explicit}
    if missing := [name for name in ("login", "his") if not merged.get(name)]:
        raise AgentError(26, f"{arm} does not name its {missing[0]} endpoint; set {_KEYS[missing[0]]}")
    return Endpoints(environment=CLOUDS[cloud].environment, **{name: merged.get(name, "") for name in _KEYS})


def _read(document: Any, cloud: str) -> dict[str, str]:
    if isinstance(document, list):
        named = [item for item in document if isinstance(item, dict) and item.get("name") == cloud]
        document = next(iter(named or document), None)
    if not isinstance(document, dict):
        raise ValueError("the answer is not a JSON object")  # noqa: TRY004 - bad data, not a bad call
    plane = document.get("dataplaneEndpoints") or {}
    found = {
        "login": (document.get("authentication") or {}).get("loginEndpoint"),
        "his": plane.get("arcHybridIdentityServiceEndpoint"),
        "gns": plane.get("arcGlobalNotificationServiceEndpoint"),
        "gas": plane.get("arcGuestConfigurationServiceEndpoint"),
        "relay_suffix": (document.get("suffixes") or {}).get("relayEndpointSuffix"),
    }
    return {name: value.rstrip("/") for name, value in found.items() if isinstance(value, str) and value}


async def discover(transport: Transport, endpoints: Endpoints, location: str) -> Region:
    """Ask the global identity service for the services of `location`.

    Raises:
        AgentError: 20, there is no such region.
        UnreachableError, CloudError: anything else.
    """
    try:
        answer = await transport.send(
            "GET", f"{endpoints.his}/discovery", params={"location": location, "api-version": CONTRACT}
        )
    except CloudError as error:
        if error.status == 400 and error.code == "UnknownLocation":
            raise AgentError(20, error.message.rstrip(".")) from error
        raise
    document = document_of(answer)
    his = str(document.get("his", "")).rstrip("/")
    if urlsplit(his).scheme != "https":
        raise CloudError(
            answer.status_code, "InvalidAnswer", "discovery names no https address", url=endpoints.his
        )
    return Region(
        location=str(document.get("location") or location),
        his=his,
        gas=str(document.get("gas", "")).rstrip("/"),
        gns=str(document.get("gns", "")).rstrip("/"),
        relay_suffix=str(document.get("relaySuffix", "")),
        login=str(document.get("login", "")).rstrip("/"),
        ttl_seconds=int(document.get("ttlSeconds") or 86_400),
    )


class Directory:
    """Remembers endpoints and regions.

    A region is kept for the server's `ttlSeconds`, and dropped on a 421 or three failed connections in a row.
    """

    def __init__(self, transport: Transport, config: LocalConfig, clock: Clock) -> None:
        self._transport = transport
        self._config = config
        self._clock = clock
        self._endpoints: dict[str, Endpoints] = {}
        self._regions: dict[tuple[str, str], tuple[Region, datetime]] = {}
        self._failures = 0

    async def endpoints(self, cloud: str) -> Endpoints:
        """The global endpoints of `cloud`; raises as `resolve`."""
        if cloud not in self._endpoints:
            self._endpoints[cloud] = await resolve(self._transport, self._config, cloud)
        return self._endpoints[cloud]

    async def region(self, cloud: str, location: str) -> Region:
        """The services of `location`; raises as `resolve` and `discover`."""
        key = (cloud, location)
        if key in self._regions:
            region, until = self._regions[key]
            if self._clock.now() < until:
                return region
        region = await discover(self._transport, await self.endpoints(cloud), location)
        self._regions[key] = (region, self._clock.now() + timedelta(seconds=region.ttl_seconds))
        return region

    def drop(self) -> None:
        """Ask again next time."""
        self._regions.clear()
        self._failures = 0

    def reached(self) -> None:
        """A regional service answered."""
        self._failures = 0

    def failed(self) -> None:
        """A regional service could not be connected to."""
        self._failures += 1
        if self._failures >= 3:
            self.drop()
