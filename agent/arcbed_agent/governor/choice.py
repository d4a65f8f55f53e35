"""Choosing the back end, and making the choice known to ``azcmagent show``."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from arcbed_agent.clock import Clock
from arcbed_agent.config import LocalConfig
from arcbed_agent.files import make_folder, remove_durably, write_durably
from arcbed_agent.governor.candidates import Candidates, Probe
from arcbed_agent.governor.cgroup1 import Cgroup1
from arcbed_agent.governor.cgroup2 import Cgroup2
from arcbed_agent.governor.contract import Choice, Governor, Wishes
from arcbed_agent.governor.family import Family, look
from arcbed_agent.governor.runtime import GroupGovernor
from arcbed_agent.governor.signals import DutyCycle
from arcbed_agent.governor.systemd import Systemd
from arcbed_agent.host.layout import Layout


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


def _choose(wished: Wishes, owner: str, root: Path, clock: Clock) -> GroupGovernor:
    family, place = Family(), below(owner, root)

    def signals() -> DutyCycle:
        DutyCycle.probe()
        return DutyCycle(family, clock)

    probes: list[tuple[str, Probe]] = [
        ("systemd", lambda: Systemd.probe(place)),
        ("cgroup2", lambda: Cgroup2.probe(place)),
        ("cgroup1", lambda: Cgroup1.probe(place)),
        ("signals", signals),
        ("none", lambda: DutyCycle(family, clock, hold=False)),
    ]
    return GroupGovernor(Candidates(probes, wished.mode, wished.backend), family, clock)


# -- for azcmagent show


def announce(layout: Layout, owner: str, choice: Choice) -> None:
    """Write down the choice of this daemon, while it lives."""
    own = look(os.getpid())
    document = {**choice.document(), "pid": os.getpid(), "started": own.started if own else 0}
    make_folder(_file(layout, owner).parent)
    write_durably(_file(layout, owner), json.dumps(document) + "\n", mode=0o644)


def retract(layout: Layout, owner: str) -> None:
    """The daemon ends: nothing is in force any more."""
    remove_durably(_file(layout, owner))


def announced(layout: Layout, owner: str) -> Choice | None:
    """The choice of a daemon that is running now; None: it is not, or has made none."""
    try:
        document: dict[str, Any] = json.loads(_file(layout, owner).read_bytes())
        process = look(int(document["pid"]))
        if process is None or process.started != document["started"]:
            return None
        return Choice.read(document)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def in_force(layout: Layout) -> str:
    """The line of ``azcmagent show``: what limits CPU now and why, by daemon where they differ."""
    found = {owner: str(choice) for owner in ("gcad", "extd") if (choice := announced(layout, owner))}
    if not found:
        return "none: no daemon that limits CPU is running"
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "; ".join(f"{owner}: {text}" for owner, text in found.items())


def _file(layout: Layout, owner: str) -> Path:
    return layout["home"] / f"governor-{owner}.json"
