"""What the agent asks of Azure Resource Manager, with the token of whoever connects it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.transport import CloudError, Transport, UnreachableError, document_of, retry_after

#: Microsoft.HybridCompute, Microsoft.Resources.
MACHINES: Final = "2024-07-10"
RESOURCES: Final = "2021-04-01"
#: Registered on the way to a connected machine. Source: Microsoft's article "Connected Machine agent
#: prerequisites".
NAMESPACES: Final = (
    "Microsoft.HybridCompute",
    "Microsoft.GuestConfiguration",
    "Microsoft.HybridConnectivity",
)

Sleep = Callable[[float], Awaitable[None]]


class ArmClient:
    """Raises UnreachableError and CloudError as the transport does, and answers documents.

    Args:
        endpoint: base URL without a slash at the end.
        access_token: bearer token for ARM.
        correlation_id: sent with each call.
    """

    def __init__(
        self, transport: Transport, endpoint: str, access_token: str, correlation_id: str = ""
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._token = access_token
        self._correlation_id = correlation_id

    async def machine(self, resource_id: str) -> dict[str, Any] | None:
        """The machine (`Machines_Get`); None when there is none, or no resource group for it."""
        try:
            return document_of(await self._send("GET", resource_id, MACHINES))
        except CloudError as error:
            if error.status == 404:
                return None
            raise

    async def put_machine(self, resource_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create or update the machine (`Machines_CreateOrUpdate`)."""
        return document_of(await self._send("PUT", resource_id, MACHINES, body))

    async def delete_machine(self, resource_id: str, *, clock: Clock, sleep: Sleep, limit: float) -> None:
        """Delete the machine (`Machines_Delete`) and wait until it is gone.

        Args:
            resource_id: ARM id of the machine.
            clock: measures `limit`.
            sleep: waits between polls.
            limit: seconds.

        Raises:
            CloudError: also when the operation fails or takes longer than `limit`.
        """
        answer = await self._send("DELETE", resource_id, MACHINES)
        deadline = clock.now() + timedelta(seconds=limit)
        monitor = answer.headers.get("azure-asyncoperation") or answer.headers.get("location", "")
        while answer.status_code == 202 and monitor:
            self._check_monitor(monitor, deadline, clock)
            await sleep(retry_after(answer) or 2.0)
            answer = await self._send("GET", monitor, "")
            if _finished(answer, monitor):
                return

    async def ensure_group(self, subscription_id: str, name: str, location: str) -> bool:
        """Create the resource group if there is none (agent 1.22); True if it was created."""
        path = f"/subscriptions/{subscription_id}/resourcegroups/{name}"
        try:
            await self._send("GET", path, RESOURCES)
        except CloudError as error:
            if error.status != 404:
                raise
            await self._send("PUT", path, RESOURCES, {"location": location})
            return True
        return False

    async def ensure_registered(self, subscription_id: str, namespace: str) -> bool:
        """Register the provider unless it is registered (agent 1.24); True if that was asked for."""
        path = f"/subscriptions/{subscription_id}/providers/{namespace}"
        provider = document_of(await self._send("GET", path, RESOURCES))
        if provider.get("registrationState") in {"Registered", "Registering"}:
            return False
        await self._send("POST", f"{path}/register", RESOURCES)
        return True

    def _check_monitor(self, monitor: str, deadline: datetime, clock: Clock) -> None:
        """The token goes to ARM only, and not for ever."""
        ours, theirs = urlsplit(self._endpoint), urlsplit(monitor)
        if (ours.scheme, ours.netloc.lower()) != (theirs.scheme, theirs.netloc.lower()):
            raise CloudError(202, "InvalidAnswer", "the operation is on another host", url=monitor)
        if clock.now() >= deadline:
            raise CloudError(202, "OperationTimedOut", "the operation takes too long", url=monitor)

    async def _send(
        self, method: str, path: str, api_version: str, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        return await self._transport.send(
            method,
            path if path.startswith("https://") else f"{self._endpoint}{path}",
            params={"api-version": api_version} if api_version else None,
            headers={"Authorization": f"Bearer {self._token}"},
            body=body,
            correlation_id=self._correlation_id,
        )


def _finished(answer: httpx.Response, monitor: str) -> bool:
    """Whether a poll says that it is over; `status` counts, else the HTTP status."""
    if answer.status_code == 202:
        return False
    document = document_of(answer)
    status = str(document.get("status", "Succeeded"))
    if status in {"Failed", "Canceled"}:
        error = document.get("error") or {}
        raise CloudError(200, str(error.get("code", status)), str(error.get("message", "")), url=monitor)
    return status == "Succeeded"


__all__ = ["NAMESPACES", "ArmClient", "CloudError", "UnreachableError"]
