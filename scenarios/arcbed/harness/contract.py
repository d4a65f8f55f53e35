"""What the harness asks of the place where a bed runs. Another place is another set of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from arcbed.harness.process import Completed


@dataclass(frozen=True, kw_only=True)
class CloudOptions:
    """How the control plane of a bed differs from the default.

    Args:
        seed: of its ids; None lets it choose.
        heartbeat_throttle: refuse heartbeats of one instance less than a minute apart (docs/wire.md 10).
        arguments: further arguments of ``fakecloud serve``.
    """

    seed: str | None = None
    heartbeat_throttle: bool = True
    arguments: tuple[str, ...] = field(default=())


class CloudHost(Protocol):
    """A running control plane."""

    @property
    def state(self) -> Path:
        """Its state folder, as this process sees it."""

    @property
    def env(self) -> Mapping[str, Any]:
        """What ``fakecloud env --json`` says: endpoints, tenant, subscription, CA file, principals."""

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


class MachineHost(Protocol):
    """One machine with an agent installed on it."""

    @property
    def name(self) -> str:
        """How people call it."""

    @property
    def root(self) -> Path:
        """Its file system, as this process sees it."""

    @property
    def endpoint(self) -> str:
        """Where its local endpoint answers, ``http://localhost:PORT``; empty before the first start."""

    async def start_agent(self) -> None:
        """Start himds and return when it is ready."""

    async def stop_agent(self) -> None:
        """Stop himds, as ``systemctl stop himdsd`` does."""

    async def kill_agent(self) -> None:
        """End himds as ``kill -9`` does."""

    async def run(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        limit: float,
        shown: Sequence[str] | None = None,
        terminal: bool = False,
    ) -> Completed:
        """Run a program of the agent on the machine, at a terminal when asked to."""

    async def reside(self, command: Sequence[str], *, env: Mapping[str, str], limit: float) -> Completed:
        """Run any program so that it finds the agent's files at their documented absolute paths.

        Raises:
            BedError: this place cannot do that.
        """

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

    async def machine(self, name: str, config: Mapping[str, Any]) -> MachineHost:
        """Make a machine with `config` as its localconfig.json; its agent is not running yet."""
