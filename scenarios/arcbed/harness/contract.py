"""What the harness asks of the place where a bed runs. Another place is another set of these."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import httpx

from arcbed.harness.admin import Admin
from arcbed.harness.process import Completed

#: How a machine loses its way to Azure. ``unreachable``: its routes lead nowhere, and attempts fail at once;
#: ``drop``: packets are swallowed, and attempts time out; ``leave``: its interface is gone; ``dns``: the
#: resolver refuses, and addresses that are known go on working.
Cut = Literal["unreachable", "drop", "leave", "dns"]
#: What a firewall does to a connection whose TLS handshake names a forbidden host.
Block = Literal["reset", "drop"]
#: ``forward``: connects to whatever it is asked for; the gateway: to hosts of Azure Monitor only.
ProxyKind = Literal["forward", "log-analytics-gateway"]


@dataclass(frozen=True, kw_only=True)
class CloudOptions:
    """How the control plane of a bed differs from the default.

    Args:
        seed: of its ids; None lets it choose.
        heartbeat_throttle: refuse heartbeats of one instance less than a minute apart (docs/wire.md 10).
        clock: ``live`` flows with the wall clock, ``stepped`` stands still until a story moves it.
        start: where the bed's time begins, ``2026-03-01`` or with a time in UTC; empty is now.
        arguments: further arguments of ``fakecloud serve``.
    """

    seed: str | None = None
    heartbeat_throttle: bool = True
    clock: Literal["live", "stepped"] = "live"
    start: str = ""
    arguments: tuple[str, ...] = field(default=())

    def flags(self) -> list[str]:
        """As ``fakecloud serve`` takes them."""
        return [
            *(("--seed", self.seed) if self.seed else ()),
            *(() if self.heartbeat_throttle else ("--no-heartbeat-throttle",)),
            *(("--clock", self.clock) if self.clock != "live" else ()),
            *(("--start", self.start) if self.start else ()),
            *self.arguments,
        ]


class MachinePath(Protocol):
    """A path on a machine; a `pathlib.Path` is one."""

    @property
    def name(self) -> str:
        """Its last part."""

    def __truediv__(self, key: str, /) -> MachinePath:
        """The path below it."""

    def exists(self) -> bool:
        """Whether anything is there."""

    def is_file(self) -> bool:
        """Whether a file is there."""

    def stat(self) -> os.stat_result:
        """Mode and size of what is there.

        Raises:
            FileNotFoundError: nothing is.
        """

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """What is in the file.

        Raises:
            FileNotFoundError: there is none.
        """

    def write_text(self, data: str, encoding: str | None = None, errors: str | None = None) -> int:
        """Replace what is in the file; its folder must be there."""


class CloudHost(Protocol):
    """A running control plane."""

    @property
    def admin(self) -> Admin:
        """The testbed's own API of it."""

    @property
    def env(self) -> Mapping[str, Any]:
        """What ``fakecloud env --json`` says: endpoints, tenant, subscription, CA file, principals."""

    @property
    def clock(self) -> Mapping[str, str]:
        """How this process reaches the clock's channel, as settings of localconfig.json."""

    async def stop(self) -> None:
        """Stop it, keep its state."""

    async def kill(self) -> None:
        """End it without a word."""

    async def start(self) -> None:
        """Start it again on the same state and port."""

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            ProcessDiedError: it ended by itself.
        """

    def logs(self) -> Mapping[str, str]:
        """Its logs, by name."""


class ProxyHost(Protocol):
    """An HTTP proxy of the bed."""

    @property
    def url(self) -> str:
        """Where machines find it, ``http://HOST:PORT``."""

    def requests(self) -> list[str]:
        """What it was asked for so far, ``CONNECT host:443 200``."""

    async def stop(self) -> None:
        """Stop it."""


class Network(Protocol):
    """The way from a machine to the clouds, and how to spoil it for as long as a block lasts.

    What is done to it is undone when the block ends, however it ends. The control network is never touched.
    """

    def cut_off(self, kind: Cut) -> AbstractAsyncContextManager[None]:
        """The machine cannot reach Azure."""

    def blocked(self, host: str, how: Block) -> AbstractAsyncContextManager[None]:
        """A firewall forbids TLS with `host`; ``*.`` at its start stands for everything below it."""

    def latency(self, milliseconds: int) -> AbstractAsyncContextManager[None]:
        """Every round trip to the control plane takes so much longer."""

    def loss(self, percent: int) -> AbstractAsyncContextManager[None]:
        """So many of the packets to and from Azure are lost."""

    def proxy_only(self, proxy: ProxyHost) -> AbstractAsyncContextManager[None]:
        """Nothing gets through but connections to `proxy`."""

    def https_only(self) -> AbstractAsyncContextManager[None]:
        """Nothing gets through but TCP to port 443."""


class MachineHost(Protocol):
    """One machine with an agent installed on it."""

    @property
    def name(self) -> str:
        """How people call it."""

    @property
    def root(self) -> MachinePath:
        """Its file system, as this process sees it."""

    @property
    def endpoint(self) -> str:
        """Where its local endpoint answers on it, ``http://localhost:PORT``; empty before the first start."""

    @property
    def network(self) -> Network:
        """Its network.

        Raises:
            NotCoveredError: it has none of its own.
        """

    def path(self, key: str) -> MachinePath:
        """One of its documented paths; the keys are those of the agent's layout."""

    def files(self) -> Mapping[str, str]:
        """The agent's files with their modes, as ``{"/var/opt/...": "0640"}``."""

    async def boot(self) -> None:
        """Start the machine without waiting for an agent, which it may lack."""

    async def start_agent(self) -> None:
        """Start himds, gcad and extd where they do not run, and return when they are ready."""

    async def stop_agent(self) -> None:
        """Stop all three, as ``systemctl stop extd gcad himdsd`` does."""

    async def kill_agent(self) -> None:
        """End himds as ``kill -9`` does."""

    async def start_policy_agent(self) -> None:
        """Start gcad and return when it is ready."""

    async def stop_policy_agent(self) -> None:
        """Stop gcad, as ``systemctl stop gcad`` does."""

    async def kill_policy_agent(self) -> None:
        """End gcad as ``kill -9`` does."""

    async def start_extension_manager(self) -> None:
        """Start extd and return when it is ready."""

    async def stop_extension_manager(self) -> None:
        """Stop extd, as ``systemctl stop extd`` does; what extensions have started runs on."""

    async def kill_extension_manager(self) -> None:
        """End extd as ``kill -9`` does."""

    async def run(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        limit: float,
        shown: Sequence[str] | None = None,
        terminal: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a program of the agent on the machine, at a terminal when asked to, with more variables."""

    async def command(self, command: Sequence[str], *, limit: float) -> Completed:
        """Run any program on the machine."""

    async def reside(self, command: Sequence[str], *, env: Mapping[str, str], limit: float) -> Completed:
        """Run any program so that it finds the agent's files at their documented absolute paths.

        Raises:
            BedError: this place cannot do that.
        """

    async def fetch(self, url: str, headers: Mapping[str, str], query: Mapping[str, str]) -> httpx.Response:
        """One GET by a program on the machine, with exactly these headers."""

    async def remove(self) -> None:
        """Stop everything on it."""

    def check(self) -> None:
        """Make sure that its agent runs, if it should.

        Raises:
            ProcessDiedError: it ended by itself.
        """

    def logs(self) -> Mapping[str, str]:
        """Its logs, by name."""


class Backend(Protocol):
    """A place where beds run."""

    async def cloud(self, options: CloudOptions) -> CloudHost:
        """Start a control plane and return when it is ready.

        Raises:
            NotReadyError: it does not become ready.
        """

    def settings(self, env: Mapping[str, Any]) -> Mapping[str, Any]:
        """The localconfig.json that a machine here needs to find the control plane that `env` describes."""

    async def machine(
        self,
        name: str,
        config: Mapping[str, Any],
        environment: Mapping[str, str],
        *,
        bare: bool = False,
        cuttable: bool = False,
        by_name: bool = False,
    ) -> MachineHost:
        """Make a machine; its agent is not running yet.

        Args:
            name: how people call it.
            config: its localconfig.json.
            environment: more variables for its daemons and shells.
            bare: leave the agent out.
            cuttable: its network can be cut off.
            by_name: it goes by Azure's host names, and they can be blocked.

        Raises:
            NotCoveredError: this place has no bare machines.
        """

    async def proxy(self, name: str, kind: ProxyKind) -> ProxyHost:
        """Start an HTTP proxy that machines can reach and return when it is ready."""

    async def close(self, *, keep: bool) -> None:
        """Take away all that was made, stopped or not; with `keep`, leave it for a person to look at."""
