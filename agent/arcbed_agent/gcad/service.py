"""The guest configuration service as the policy agent uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcbed_agent.cloud.gas import Pull
from arcbed_agent.exchange.service import Service


class PolicyService(Service):
    """Assignments down, reports up, for the machine that is connected."""

    async def pull(self, etag: str) -> Pull:
        """The desired state; see `GasClient.assignments`."""
        return await self._call(lambda client, token: client.assignments(token, etag=etag))

    async def report(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Hand in a report; see `GasClient.report`."""
        return await self._call(lambda client, token: client.report(token, document))
