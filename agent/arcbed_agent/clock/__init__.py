"""Time for the agent. Nothing else in the agent looks at a wall clock or sleeps.

`Clock` is what daemons are given. A stand-alone agent runs on `SystemClock`, an agent of a bed on `BedClock`:
`open_clock` says which. Inside a test the control plane's time keeper is handed in, which has the same shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcbed_agent.clock.bed import BedClock
from arcbed_agent.clock.command import CommandClock
from arcbed_agent.clock.contract import Clock, ClockTask
from arcbed_agent.clock.system import SystemClock, SystemTask

__all__ = ["BedClock", "Clock", "ClockTask", "CommandClock", "SystemClock", "SystemTask", "open_clock"]


def open_clock(settings: Mapping[str, Any], daemon: str) -> SystemClock | BedClock:
    """The clock that this machine's local configuration names: the bed's if there is one, else its own.

    Use it as an async context manager around everything that waits; `now` works before that.

    Args:
        settings: the values of localconfig.json: ``clock.address``, ``clock.machine``, ``clock.tokenFile``.
        daemon: what this process is, as in ``machine/daemon/task``.

    Raises:
        AgentError: 6, the bed's clock does not answer or refuses this machine.
    """
    address = str(settings.get("clock.address") or "")
    if not address:
        return SystemClock()
    machine = str(settings.get("clock.machine") or "machine")
    return BedClock.open(address, machine, daemon, token_file=str(settings.get("clock.tokenFile") or ""))
