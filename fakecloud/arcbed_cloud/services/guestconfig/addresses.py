"""The addresses that the service hands out: of its regional part, and of packages."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from arcbed_cloud import hosts
from arcbed_cloud.arm.validation import normalised
from arcbed_cloud.services.his.errors import HisError, invalid_request
from arcbed_cloud.services.his.regions import SHARDS


@dataclass(frozen=True, slots=True)
class Address:
    """How the service was reached: ``https://host[:port]``, with ``/gas`` where there is no DNS."""

    base: str

    @property
    def _azure(self) -> bool:
        return hosts.service_of(urlsplit(self.base).netloc) == "gas"

    def regional(self, location: str) -> str:
        """The service of a region.

        Raises:
            HisError: 400 InvalidRequest for none, 404 AgentServiceEndpointNotFound for one that is unknown.
        """
        if not location:
            raise invalid_request("The query parameter 'location' is required.", "location")
        name = normalised(location)
        if name not in SHARDS:
            raise HisError(
                404,
                "AgentServiceEndpointNotFound",
                f"Agent service endpoint for the location '{location}' was not found.",
                "location",
            )
        if not self._azure:
            return self.base
        parts = urlsplit(self.base)
        top = hosts.bare(parts.netloc).rpartition(".")[2]
        port = f":{parts.port}" if parts.port not in {None, 443} else ""
        return f"https://{name}-gas.guestconfiguration.azure.{top}{port}"

    def content(self, uri: str) -> str:
        """A package's address as the machine can use it: without DNS a storage host becomes a path."""
        parts = urlsplit(uri)
        if self._azure or hosts.service_of(parts.netloc) != "blob":
            return uri
        account = hosts.bare(parts.netloc).partition(".")[0]
        query = f"?{parts.query}" if parts.query else ""
        return f"{self.base.removesuffix('/gas')}/blob/{account}{parts.path}{query}"
