"""Choosing the back end."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
from pathlib import Path

from arcbed_agent.clock import Clock
from arcbed_agent.config import LocalConfig
from arcbed_agent.governor.contract import Governor, Wishes


def wishes(config: LocalConfig) -> Wishes:
    """What the local configuration says: governor.mode, governor.backend, governor.percentOf."""
    return Wishes(
        "account" if config.text("governor.mode") == "account" else "enforce",
        config.text("governor.backend"),
        "machine" if config.text("governor.percentOf") == "machine" else "core",
    )


async def choose(wished: Wishes, *, owner: str, root: Path, clock: Clock) -> Governor:
    """The governor of a daemon, on the first back end that works: systemd, cgroup2, cgroup1, signals, none.

    This process becomes the reaper of its descendants.

    Args:
        wished: a back end asked for is taken if it works, else none.
        owner: the daemon: ``gcad`` or ``extd``.
        root: of the agent's files; agents with other roots have groups of their own.
        clock: for durations; limits are kept in real time.
    """
    return await asyncio.to_thread(_choose, wished, owner, root, clock)


def below(owner: str, root: Path) -> str:
    """Where a daemon's groups are, relative to its own group."""
    if root == Path("/"):
        return f"arc/{owner}"
    return f"arc-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}/{owner}"


def _choose(wished: Wishes, owner: str, root: Path, clock: Clock) -> Governor:
    # Late, since azcmagent only reads what a daemon chose.
    from arcbed_agent.governor.candidates import Candidates, Probe
    from arcbed_agent.governor.cgroup1 import Cgroup1
    from arcbed_agent.governor.cgroup2 import Cgroup2
    from arcbed_agent.governor.family import Family
    from arcbed_agent.governor.runtime import GroupGovernor
    from arcbed_agent.governor.signals import DutyCycle
    from arcbed_agent.governor.systemd import Systemd

    place = below(owner, root)
    family = Family(place)

    def signals() -> DutyCycle:
        DutyCycle.probe()
        # What a killed daemon had stopped would stand for ever.
        for pid in family.adopt():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)
        return DutyCycle(family, clock)

    probes: list[tuple[str, Probe]] = [
        ("systemd", lambda: Systemd.probe(place)),
        ("cgroup2", lambda: Cgroup2.probe(place)),
        ("cgroup1", lambda: Cgroup1.probe(place)),
        ("signals", signals),
        ("none", lambda: DutyCycle(family, clock, hold=False)),
    ]
    return GroupGovernor(Candidates(probes, wished.mode, wished.backend), family, clock)
