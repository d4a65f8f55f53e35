"""The guest configuration service as the extension manager uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcbed_agent.cloud.gas import Pull
from arcbed_agent.exchange.service import Service


class ExtensionService(Service):
    """Goal state down, reports up, for the machine that is connected."""

    async def pull(self, etag: str) -> Pull:
        """The goal state; see `GasClient.extensions`."""
        return await self._call(lambda client, token: client.extensions(token, etag=etag))

    async def operation(self, name: str, operation_id: str, report: Mapping[str, Any]) -> dict[str, Any]:
        """Progress or result of an operation; see `GasClient.operation`."""
        return await self._call(lambda client, token: client.operation(token, name, operation_id, report))

    async def status(self, name: str, report: Mapping[str, Any]) -> dict[str, Any]:
        """How an installed extension is; see `GasClient.extension_status`."""
        return await self._call(lambda client, token: client.extension_status(token, name, report))

    async def headers(self, url: str) -> dict[str, str]:
        """What a download needs: a token where the address is the service's own, else nothing."""
        if self.base and url.startswith(f"{self.base}/"):
            return {"Authorization": f"Bearer {await self._identity.token()}"}
        return {}
