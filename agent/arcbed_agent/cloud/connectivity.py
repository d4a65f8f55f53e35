"""Whether the cloud can be reached from here: what ``azcmagent check`` and ``connect`` test.

Any HTTP status counts as reachable. Sources: Microsoft's articles "azcmagent check" and "Connected
Machine agent network requirements"; paths probed and wording of the log as in published logs.
"""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.endpoints import CLOUDS, Endpoints, Region
from arcbed_agent.cloud.proxies import proxy_in_effect
from arcbed_agent.cloud.routes import Routes, trust
from arcbed_agent.config import LocalConfig

#: A clock further off than this is told, and is not fatal (agent 1.29). Seconds.
SKEW_LIMIT: Final = 120
_TIMEOUT: Final = httpx.Timeout(20.0, connect=10.0)
log = logging.getLogger("arcbed_agent.cli")


@dataclass(frozen=True)
class Target:
    """An endpoint to test.

    Args:
        url: as it is shown.
        path: what is asked for below it.
        required: whether `connect` cannot do without it.
        private_link: whether it is behind private endpoints when there is a private link scope.
    """

    url: str
    path: str = ""
    required: bool = True
    private_link: bool = False


@dataclass(frozen=True)
class Probe:
    """What was found.

    Args:
        target: what was tested.
        reachable: it answered over HTTP.
        private: its address is private; None when a proxy resolves the name.
        tls: ``TLS 1.3``, empty without a connection.
        proxy: the proxy that was used, empty for none.
        error: why it is not reachable.
        skew: seconds by which this machine's clock is ahead of the endpoint's.
        alias: the name behind a CNAME, as private DNS zones give it.
    """

    target: Target
    reachable: bool
    private: bool | None = None
    tls: str = ""
    proxy: str = ""
    error: str = ""
    skew: float | None = None
    alias: str = ""

    @property
    def private_link(self) -> bool:
        """Whether the name leads to a private endpoint."""
        return ".privatelink." in self.alias

    def document(self) -> dict[str, Any]:
        """The value of this endpoint in ``check -j``; consumers read the first five members."""
        value: dict[str, Any] = {
            "reachable": self.reachable,
            "private": bool(self.private),
            "tls": self.tls,
            "proxyStatus": "set" if self.proxy else "not set",
            "required": self.target.required,
        }
        if self.error:
            value["error"] = self.error
        return value


Resolve = Callable[[str, int], Awaitable[tuple[list[str], str]]]


def targets(
    cloud: str, endpoints: Endpoints, region: Region | None, *, include_all: bool = False
) -> list[Target]:
    """The endpoints of `cloud` in `region`, each once, in the order of the table.

    Args:
        cloud: its name.
        endpoints: global addresses.
        region: None when discovery failed: then only the global ones can be tested.
        include_all: optional ones as well (agent 1.52).
    """
    found = [
        Target(endpoints.his, "/connectivitytest", private_link=True),
        Target(region.his, "/connectivitytest", private_link=True) if region else None,
        Target(endpoints.gas, private_link=True),
        # Required from agent 1.57.
        Target(region.gas, private_link=True) if region else None,
        Target(endpoints.arm),
        Target(endpoints.login),
    ]
    if endpoints.login == CLOUDS[cloud].login and (rbac := _RBAC.get(cloud)):
        found.append(Target(rbac))
    if include_all:
        found.append(Target(endpoints.gns, required=False))
    unique = {target.url: target for target in reversed(found) if target and target.url}
    return list(reversed(unique.values()))


#: Entra's role service is part of the documented list; a cloud with an Entra of its own has none.
_RBAC: Final = {
    "AzureCloud": "https://pas.windows.net",
    "AzureUSGovernment": "https://pasff.usgovcloudapi.net",
    "AzureChinaCloud": "https://pas.chinacloudapi.cn",
}


class Prober:
    """Tests endpoints, all at the same time.

    Args:
        config: proxy and trust.
        clock: this machine's time, to compare with the endpoints'.
        resolve: addresses and canonical name of a host.
    """

    def __init__(self, config: LocalConfig, clock: Clock, resolve: Resolve | None = None) -> None:
        self._config = config
        self._clock = clock
        self._resolve = resolve or _system_resolve

    async def probe(self, wanted: Sequence[Target]) -> list[Probe]:
        """Test `wanted`; the answers are in the same order."""
        routes = Routes(self._config, trust(self._config))
        async with httpx.AsyncClient(transport=routes, timeout=_TIMEOUT, trust_env=False) as client:
            probes = (
                self._probe(client, target, proxied=routes.proxied(httpx.URL(target.url)))
                for target in wanted
            )
            return list(await asyncio.gather(*probes))

    async def _probe(self, client: httpx.AsyncClient, target: Target, *, proxied: bool) -> Probe:
        parts = urlsplit(target.url)
        host, port = parts.hostname or "", parts.port or 443
        proxy = proxy_in_effect(self._config) if proxied else ""
        log.debug("Checking connectivity to %s, proxy status: %s", target.url, proxy or "proxy is not used")
        probe = Probe(target, reachable=False, proxy=proxy)
        try:
            if not proxy:
                # With a proxy the name is the proxy's to resolve; doing it here failed in agent 1.31.
                probe = await self._locate(probe, host, port)
            probe = await self._ask(client, probe)
        except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
            probe = replace(probe, error=_reason(error))
        if probe.reachable:
            log.debug("%s is available, using cryptographic protocol: %s", target.url, probe.tls)
        else:
            log.debug("%s is not available: %s", target.url, probe.error)
        return probe

    async def _locate(self, probe: Probe, host: str, port: int) -> Probe:
        addresses, alias = await self._resolve(host, port)
        return replace(probe, private=bool(addresses) and all(map(_is_private, addresses)), alias=alias)

    async def _ask(self, client: httpx.AsyncClient, probe: Probe) -> Probe:
        async with client.stream("GET", f"{probe.target.url}{probe.target.path}") as answer:
            stream = answer.extensions.get("network_stream")
            session = stream.get_extra_info("ssl_object") if stream else None
            version = session.version() if session else ""
            return replace(
                probe,
                reachable=True,
                tls=(version or "").replace("TLSv", "TLS "),
                skew=_skew(answer.headers.get("date", ""), self._clock.wall()),
            )


def _is_private(address: str) -> bool:
    """Private as in private link: a machine talking to itself is not."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return parsed.is_private and not parsed.is_loopback


def _skew(date: str, now: float) -> float | None:
    parsed = email.utils.parsedate_tz(date)
    return None if parsed is None else now - email.utils.mktime_tz(parsed)


def _reason(error: BaseException) -> str:
    """The innermost text, which is the one that tells a person something."""
    seen: BaseException | None = error
    text = ""
    while seen is not None:
        if isinstance(seen, socket.gaierror):
            return "no IP addresses found"
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"certificate not trusted: {seen.verify_message}"
        text = str(seen) or text
        seen = seen.__cause__ or seen.__context__
    return text or type(error).__name__


async def _system_resolve(host: str, port: int) -> tuple[list[str], str]:
    answers = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME
    )
    return sorted({str(answer[4][0]) for answer in answers}), answers[0][3]


def clock_skew(probes: Sequence[Probe]) -> float | None:
    """By how many seconds this machine's clock is off, if that is more than 120; None otherwise."""
    known = sorted(probe.skew for probe in probes if probe.skew is not None)
    if not known:
        return None
    median = known[len(known) // 2]
    return median if abs(median) > SKEW_LIMIT else None
