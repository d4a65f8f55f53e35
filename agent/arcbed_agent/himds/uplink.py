"""The way to the cloud as the local configuration says, replaced as a whole when that changes."""

from __future__ import annotations

from collections.abc import Callable

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.endpoints import Directory
from arcbed_agent.cloud.transport import Transport
from arcbed_agent.config import LocalConfig

MakeTransport = Callable[[LocalConfig], Transport]


class Uplink:
    """Configuration, transport and what is known of the endpoints; these belong together.

    Raises:
        AgentError: 23, the configuration cannot be used.
    """

    def __init__(self, config: LocalConfig, clock: Clock, make_transport: MakeTransport) -> None:
        self._clock = clock
        self._make_transport = make_transport
        self.config = config
        self.transport = make_transport(config)
        self.directory = Directory(self.transport, config, clock)

    async def reload(self, config: LocalConfig) -> None:
        """Go on with `config`; if it cannot be used, nothing changes.

        Raises:
            AgentError: 23, see `Transport`.
        """
        transport, old = self._make_transport(config), self.transport
        self.config, self.transport = config, transport
        self.directory = Directory(transport, config, self._clock)
        await old.close()

    async def close(self) -> None:
        """Drop all connections."""
        await self.transport.close()
