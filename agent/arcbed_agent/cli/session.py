"""What every command is given: this machine, its files, its himds, and where output goes."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from arcbed_agent.cli.terminal import Terminal
from arcbed_agent.clock import Clock
from arcbed_agent.errors import AgentError
from arcbed_agent.host.layout import Layout
from arcbed_agent.logging import Redactor

if TYPE_CHECKING:
    from arcbed_agent.config import LocalConfig
    from arcbed_agent.himds.client import HimdsClient, Status
    from arcbed_agent.host import Host


@dataclass
class Session:
    """One run of azcmagent."""

    layout: Layout
    terminal: Terminal
    clock: Clock
    chance: random.Random
    environment: Mapping[str, str]
    waiting: Callable[[], AbstractContextManager[None]] = nullcontext
    redactor: Redactor = field(default_factory=Redactor)
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("arcbed_agent.cli"))

    @property
    def production(self) -> bool:
        """Whether the agent's files are at their documented places."""
        return self.layout.root == self.layout.root.parent

    @cached_property
    def local_config(self) -> LocalConfig:
        """localconfig.json.

        Raises:
            AgentError: 70 or 23, it cannot be used.
        """
        from arcbed_agent.config import LocalConfig

        return LocalConfig.load(self.layout)

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """localconfig.json as it is, for what has no property of its own."""
        return {**self.local_config.unknown, **self.local_config.values}

    @cached_property
    def host(self) -> Host:
        """This machine."""
        from arcbed_agent.host import open_host

        return open_host(self.layout, self.settings)

    @cached_property
    def himds(self) -> HimdsClient:
        """The daemon."""
        from arcbed_agent.himds.client import HimdsClient

        return HimdsClient(self.layout, waiting=self.waiting)

    def himds_status(self) -> Status:
        """What himds knows now.

        Raises:
            AgentError: 61 or 64, with the way to start it.
        """
        try:
            return self.himds.status()
        except AgentError as error:
            if error.number in {61, 64}:
                error.advice = self.start_advice
            raise

    @property
    def start_advice(self) -> str:
        """How to start himds on this machine."""
        if self.production:
            return "Start the service with: systemctl start himdsd"
        return f"Start the daemon with: ARC_ROOT={self.layout.root} himds"

    def may_administer(self) -> bool:
        """Root may; so may the owner of the folder that ``ARC_ROOT`` names, who can harm nobody else."""
        if os.geteuid() == 0:
            return True
        try:
            return not self.production and self.layout.root.stat().st_uid == os.geteuid()
        except OSError:
            return False

    def guid(self) -> str:
        """A random GUID."""
        import uuid

        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
