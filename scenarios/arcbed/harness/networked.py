"""What stories do to the network of a machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from arcbed.harness.contract import Block, Cut, MachineHost, ProxyHost
from arcbed.harness.recorder import Recorder


class Networked:
    """A machine whose way to Azure can be cut and spoilt; each block ends with the network as it was."""

    host: MachineHost
    recorder: Recorder | None

    @asynccontextmanager
    async def cut_off(self, kind: Cut = "unreachable") -> AsyncIterator[None]:
        """Keep the machine from Azure for as long as the block lasts; see `arcbed.harness.contract.Cut`.

        Raises:
            NotCoveredError: machines have no network of their own here.
        """
        async with self.host.network.cut_off(kind), self._spoilt(f"cut off ({kind})"):
            yield

    @asynccontextmanager
    async def blocked(self, *hosts: str, how: Block = "reset") -> AsyncIterator[None]:
        """A firewall forbids TLS with `hosts`; ``*.`` at a start stands for everything below it.

        Raises:
            NotCoveredError: machines have no network of their own here.
        """
        async with AsyncExitStack() as blocks:
            for host in hosts:
                await blocks.enter_async_context(self.host.network.blocked(host, how))
            await blocks.enter_async_context(self._spoilt(f"kept from {', '.join(hosts)} ({how})"))
            yield

    @asynccontextmanager
    async def latency(self, milliseconds: int) -> AsyncIterator[None]:
        """Every round trip to the control plane takes so much longer.

        Raises:
            NotCoveredError: machines have no network of their own here.
        """
        async with (
            self.host.network.latency(milliseconds),
            self._spoilt(f"slowed down by {milliseconds} ms"),
        ):
            yield

    @asynccontextmanager
    async def loss(self, percent: int) -> AsyncIterator[None]:
        """So many of the packets to and from Azure are lost.

        Raises:
            NotCoveredError: machines have no network of their own here.
        """
        async with self.host.network.loss(percent), self._spoilt(f"losing {percent} % of its packets"):
            yield

    @asynccontextmanager
    async def proxy_only(self, proxy: ProxyHost) -> AsyncIterator[None]:
        """Nothing gets through but connections to `proxy`.

        Raises:
            NotCoveredError: machines have no network of their own here.
        """
        async with self.host.network.proxy_only(proxy), self._spoilt(f"kept to {proxy.url}"):
            yield

    @asynccontextmanager
    async def https_only(self) -> AsyncIterator[None]:
        """Nothing gets through but TCP to port 443.

        Raises:
            NotCoveredError: machines have no network of their own here.
        """
        async with self.host.network.https_only(), self._spoilt("kept to TCP port 443"):
            yield

    @asynccontextmanager
    async def _spoilt(self, how: str) -> AsyncIterator[None]:
        self._note(f"{self.host.name} is {how}")
        try:
            yield
        finally:
            self._note(f"{self.host.name} is no longer {how}")

    def _note(self, title: str) -> None:
        if self.recorder:
            self.recorder.event("note", title)
