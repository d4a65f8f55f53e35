"""Whose cloud the machine runs in, asked of the link-local metadata services.

Sources: Microsoft's "Data collected by Azure Arc-enabled servers" (which addresses are asked), "Azure
    Instance Metadata Service", AWS's "Use the Instance Metadata Service" (IMDSv2), Google's "About VM
    metadata".
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arcbed_agent.host.contract import CloudProvider

if TYPE_CHECKING:
    import httpx

#: Real seconds; a machine outside any cloud waits this long per address that swallows packets.
PROBE_SECONDS = 1.0


@dataclass(frozen=True)
class MetadataAddresses:
    """``host[:port]`` of each metadata service; None is never asked."""

    azure: str | None = None
    azure_local: str | None = None
    aws: str | None = None
    gcp: str | None = None

    @classmethod
    def documented(cls) -> MetadataAddresses:
        """The addresses of the clouds themselves."""
        link_local = "169.254.169.254"
        return cls(link_local, "169.254.169.253", link_local, "metadata.google.internal")

    @classmethod
    def all_at(cls, address: str) -> MetadataAddresses:
        """One service that may play any of the clouds; Azure Local has no address of its own there."""
        return cls(address, None, address, address)


def detect(addresses: MetadataAddresses) -> CloudProvider:
    """Ask Azure, Azure Local, AWS and GCP, all at once; the first of them that answers as itself."""
    if not any((addresses.azure, addresses.azure_local, addresses.aws, addresses.gcp)):
        return CloudProvider()
    import httpx

    # Metadata services are never behind a proxy, and never redirect.
    with httpx.Client(trust_env=False, timeout=PROBE_SECONDS, follow_redirects=False) as client:
        probes = (
            (_azure, addresses.azure),
            (_azure_local, addresses.azure_local),
            (_aws, addresses.aws),
            (_gcp, addresses.gcp),
        )
        with ThreadPoolExecutor(len(probes)) as pool:
            asked = [pool.submit(probe, client, address) for probe, address in probes if address]
            found = (future.result() for future in asked)
            return next((provider for provider in found if provider), CloudProvider())


def _azure(client: httpx.Client, address: str, provider: str = "Azure") -> CloudProvider | None:
    url = f"http://{address}/metadata/instance/compute?api-version=2019-06-01"
    compute = _json(client, "GET", url, {"Metadata": "true"})
    if compute is None:
        return None
    names = ("azEnvironment", "location", "resourceId", "vmId")
    return CloudProvider(provider, {name: str(compute[name]) for name in names if compute.get(name)})


def _azure_local(client: httpx.Client, address: str) -> CloudProvider | None:
    return _azure(client, address, "AzSHCI")


def _aws(client: httpx.Client, address: str) -> CloudProvider | None:
    """IMDSv2 with a session token; instances that only speak version 1 refuse the token request with 4xx."""
    token = _answer(
        client, "PUT", f"http://{address}/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    if token is None:
        return None
    headers = {"X-aws-ec2-metadata-token": token.text} if token.status_code == 200 else {}
    document = _json(client, "GET", f"http://{address}/latest/dynamic/instance-identity/document", headers)
    if document is None or "instanceId" not in document:
        return None
    names = {"awsAccountId": "accountId", "awsInstanceId": "instanceId", "awsRegion": "region"}
    return CloudProvider("AWS", {ours: str(document.get(theirs, "")) for ours, theirs in names.items()})


def _gcp(client: httpx.Client, address: str) -> CloudProvider | None:
    flavor = {"Metadata-Flavor": "Google"}
    values = {}
    for name, path in (
        ("gcpInstanceId", "instance/id"),
        ("gcpProjectId", "project/project-id"),
        ("gcpZone", "instance/zone"),
    ):
        answer = _answer(client, "GET", f"http://{address}/computeMetadata/v1/{path}", flavor)
        if answer is None or answer.status_code != 200 or answer.headers.get("Metadata-Flavor") != "Google":
            return None
        values[name] = answer.text.rsplit("/", maxsplit=1)[-1]
    return CloudProvider("GCP", values)


def _answer(client: httpx.Client, method: str, url: str, headers: dict[str, str]) -> httpx.Response | None:
    import httpx

    try:
        return client.request(method, url, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL):
        return None


def _json(client: httpx.Client, method: str, url: str, headers: dict[str, str]) -> dict[str, Any] | None:
    answer = _answer(client, method, url, headers)
    if answer is None or answer.status_code != 200:
        return None
    try:
        document = answer.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
