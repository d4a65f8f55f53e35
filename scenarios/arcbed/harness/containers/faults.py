"""Spoiling the network of one machine: routes, packet filters and a forwarder in its own namespace.

They are set by a helper that shares the machine's network and has NET_ADMIN, so the machine itself needs no
right that it would not have. Nothing is done to the control network, but that the resolver there can be made
to refuse this machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import ParamSpec
from urllib.parse import urlsplit

from arcbed.harness.containers.engine import Engine
from arcbed.harness.containers.networks import Network
from arcbed.harness.containers.tools import HTTPS, MARK, Tools
from arcbed.harness.contract import Block, Cut, ProxyHost
from arcbed.harness.errors import BedError

P = ParamSpec("P")
IPTABLES = "iptables -w"
#: Where Docker answers for DNS in the network namespace of a container.
ENGINE_RESOLVER = "127.0.0.11"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where a machine finds what."""

    azure: Network
    control: Network
    cloud: str
    resolver: str


class DockerNetwork:
    """The network of one machine.

    Args:
        engine: where.
        machine: name of the machine's container.
        address: of the machine on the network `azure`.
        around: what else is there.
    """

    def __init__(self, engine: Engine, machine: str, address: str, around: Surroundings) -> None:
        self._engine = engine
        self._machine = machine
        self._address = address
        self._around = around
        self._tools = Tools(engine, machine)

    def cut_off(self, kind: Cut) -> AbstractAsyncContextManager[None]:
        """The machine cannot reach Azure."""
        return {
            "unreachable": self._unreachable,
            "drop": self._dropped,
            "leave": self._left,
            "dns": self._nameless,
        }[kind]()

    @asynccontextmanager
    async def blocked(self, host: str, how: Block) -> AsyncIterator[None]:
        """A firewall reads the name in TLS handshakes, and resets or swallows those with `host`.

        Connections that are open are closed: a firewall that is reconfigured forgets them.
        """
        action = "REJECT --reject-with tcp-reset" if how == "reset" else "DROP"
        to_azure = f"OUTPUT -d {self._around.azure.subnet} -p tcp --dport {HTTPS}"
        rule = f"{to_azure} -m string --algo bm --icase {handshake_with(host)} -j {action}"
        async with self._rules([rule], close=True):
            yield

    @asynccontextmanager
    async def latency(self, milliseconds: int) -> AsyncIterator[None]:
        """A forwarder stands in the way to the control plane and lets every round trip take longer."""
        port = await self._engine.do(self._tools.start_relay, self._around.cloud, milliseconds)
        redirect = (
            f"OUTPUT -t nat -d {self._around.cloud} -p tcp --dport {HTTPS} "
            f"-m mark ! --mark {MARK} -j REDIRECT --to-ports {port}"
        )
        try:
            async with self._rules([redirect], close=True):
                yield
        finally:
            await self._undo(self._tools.stop_relay)

    @asynccontextmanager
    async def loss(self, percent: int) -> AsyncIterator[None]:
        """Packets are lost at random, either way."""
        lose = f"-m statistic --mode random --probability {percent / 100:g} -j DROP"
        subnet = self._around.azure.subnet
        async with self._rules([f"OUTPUT -d {subnet} {lose}", f"INPUT -s {subnet} {lose}"]):
            yield

    @asynccontextmanager
    async def proxy_only(self, proxy: ProxyHost) -> AsyncIterator[None]:
        """Everything on the way to Azure is refused but connections to `proxy`."""
        where = urlsplit(proxy.url)
        azure = f"OUTPUT -d {self._around.azure.subnet}"
        rules = [
            f"OUTPUT -d {where.hostname} -p tcp --dport {where.port} -j ACCEPT",
            f"{azure} -p tcp -j REJECT --reject-with tcp-reset",
            f"{azure} -j REJECT",
        ]
        async with self._rules(rules, close=True):
            yield

    @asynccontextmanager
    async def https_only(self) -> AsyncIterator[None]:
        """Everything is swallowed but TCP to port 443, questions to the resolver, and the control network."""
        rules = [
            "OUTPUT -o lo -j ACCEPT",
            f"OUTPUT -d {self._around.resolver} -p udp --dport 53 -j ACCEPT",
            f"OUTPUT -d {self._around.control.subnet} -j ACCEPT",
            f"OUTPUT -p tcp --dport {HTTPS} -j ACCEPT",
            "OUTPUT -j DROP",
        ]
        async with self._rules(rules):
            yield

    # -- the cuts ----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _unreachable(self) -> AsyncIterator[None]:
        """Routes that say no: two halves are more specific than the one that leads to Azure."""
        halves = list(self._around.azure.subnet.subnets())
        add = [f"ip route add unreachable {half}" for half in halves]
        async with self._changed(
            [*add, self._close_all], [f"ip route del unreachable {half}" for half in halves]
        ):
            yield

    @asynccontextmanager
    async def _dropped(self) -> AsyncIterator[None]:
        subnet = self._around.azure.subnet
        async with self._rules([f"OUTPUT -d {subnet} -j DROP", f"INPUT -s {subnet} -j DROP"]):
            yield

    @asynccontextmanager
    async def _left(self) -> AsyncIterator[None]:
        await self._engine.do(self._leave)
        try:
            yield
        finally:
            await self._undo(self._join)

    @asynccontextmanager
    async def _nameless(self) -> AsyncIterator[None]:
        # The engine's own resolver in the namespace swallows what it cannot pass on: refused as well.
        engine = f"-m conntrack --ctorigdst {ENGINE_RESOLVER} --ctorigdstport 53"
        bed = f"-d {self._around.resolver}"
        rules = [
            f"OUTPUT {engine} -p udp -j REJECT",
            f"OUTPUT {engine} -p tcp -j REJECT --reject-with tcp-reset",
            f"OUTPUT {bed} -p udp --dport 53 -j REJECT",
            f"OUTPUT {bed} -p tcp --dport 53 -j REJECT --reject-with tcp-reset",
        ]
        async with self._rules(rules):
            yield

    def _leave(self) -> None:
        self._engine.client.networks.get(self._around.azure.id).disconnect(self._machine)

    def _join(self) -> None:
        azure = self._engine.client.networks.get(self._around.azure.id)
        azure.connect(self._machine, ipv4_address=self._address)

    # -- how they are made and undone --------------------------------------------------------------------

    @property
    def _close_all(self) -> str:
        return f"ss -K -t dst {self._around.azure.subnet} >/dev/null"

    @asynccontextmanager
    async def _rules(self, rules: Sequence[str], *, close: bool = False) -> AsyncIterator[None]:
        """Rules of the packet filter, before all others and in this order."""
        add = [f"{IPTABLES} -I {rule}" for rule in reversed(rules)]
        async with self._changed(
            [*add, *([self._close_all] if close else [])], [f"{IPTABLES} -D {rule}" for rule in rules]
        ):
            yield

    @asynccontextmanager
    async def _changed(self, change: Sequence[str], undo: Sequence[str]) -> AsyncIterator[None]:
        """Run `change`; at the end all of `undo`, also after a change that got stuck half way."""
        try:
            await self._engine.do(self._tools.script, change)
            yield
        finally:
            await self._undo(self._tools.script, [f"{line} || true" for line in undo])

    async def _undo(self, function: Callable[P, object], *args: P.args, **options: P.kwargs) -> None:
        """Put something back, even when nobody waits any more; of a machine that is gone nothing is left."""
        try:
            await asyncio.shield(self._engine.do(function, *args, **options))
        except BedError:
            if self._tools.machine_runs():
                raise

    def close(self) -> None:
        """Take the helper away."""
        self._tools.close()


def handshake_with(host: str) -> str:
    """What a packet filter looks for in a ClientHello (RFC 6066, section 3): type, length and name.

    Below a wildcard only the end of the name is known.
    """
    if host.startswith("*."):
        return f"--string '{host[1:]}'"
    length = f"{len(host):04x}"
    return f"--hex-string '|00{length}|{host}'"
