"""The guest configuration service as this machine reaches it: address, token, and another try."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from arcbed_agent.cloud.gas import GasClient, GasDirectory
from arcbed_agent.cloud.transport import CloudError, Transport, UnreachableError
from arcbed_agent.config import AgentConfig, LocalConfig
from arcbed_agent.exchange.local import LocalIdentity
from arcbed_agent.himds.uplink import Uplink

Result = TypeVar("Result")


class Service:
    """Calls for the machine that is connected; which there are, is a daemon's own.

    Attributes:
        machine: what the machine is connected as; set by the daemon.
        cut_off: so many attempts have failed in a row that only the period timer makes new ones.
    """

    def __init__(self, uplink: Uplink, identity: LocalIdentity, directory: GasDirectory) -> None:
        self._uplink = uplink
        self._identity = identity
        self._directory = directory
        self.machine = AgentConfig()
        self.cut_off = False
        self.base = ""

    @property
    def config(self) -> LocalConfig:
        """The machine's local configuration."""
        return self._uplink.config

    @property
    def transport(self) -> Transport:
        """The way to the cloud."""
        return self._uplink.transport

    async def token(self, resource: str) -> str:
        """A token of the machine for another service; see `LocalIdentity.token`."""
        return await self._identity.token(resource)

    def forget(self) -> None:
        """The machine may have become another."""
        self._directory.drop()
        self.cut_off = False
        self.base = ""

    async def _call(self, call: Callable[[GasClient, str], Awaitable[Result]]) -> Result:
        """One call; once each, a 401 leads to a new token and a 421 to another look for the service."""
        left = {401, 421}
        bypass = False
        while True:
            token = await (self._identity.token(bypass_cache=True) if bypass else self._identity.token())
            client = await self._client()
            try:
                result = await call(client, token)
            except UnreachableError as error:
                self._directory.failed(error)
                raise
            except CloudError as error:
                if error.status == 421:
                    self._directory.failed(error)
                if error.status not in left:
                    raise
                left.remove(error.status)
                bypass = error.status == 401
            else:
                self._directory.reached()
                self.cut_off = False
                return result

    async def _client(self) -> GasClient:
        regional = await self._directory.regional(
            self._uplink.transport, self._uplink.directory, self.machine.cloud, self.machine.location
        )
        client = GasClient(self._uplink.transport, regional, self.machine.vm_id)
        self.base = client.base
        return client
