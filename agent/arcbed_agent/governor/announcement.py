"""Making a daemon's choice of back end known to ``azcmagent show``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from arcbed_agent.files import make_folder, remove_durably, sweep, write_durably
from arcbed_agent.governor.contract import Choice
from arcbed_agent.governor.processes import look
from arcbed_agent.host.layout import Layout


def announce(layout: Layout, owner: str, choice: Choice) -> None:
    """Write down the choice of this daemon, while it lives."""
    own = look(os.getpid())
    document = {**choice.document(), "pid": os.getpid(), "started": own.started if own else 0}
    sweep(make_folder(_file(layout, owner).parent))
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
    found = {
        owner: str(choice) for owner in ("gcad", "extd", "trial") if (choice := announced(layout, owner))
    }
    if not found:
        return "none: no daemon that limits CPU is running"
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "; ".join(f"{owner}: {text}" for owner, text in found.items())


def _file(layout: Layout, owner: str) -> Path:
    return layout["home"] / f"governor-{owner}.json"
