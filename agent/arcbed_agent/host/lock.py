"""One daemon of a kind for a machine: a lock that ends with its holder, however that ends."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO

from arcbed_agent.errors import AgentError
from arcbed_agent.files import make_folder
from arcbed_agent.host.layout import Layout


def take_lock(layout: Layout, daemon: str, *, where: Path | None = None) -> TextIO:
    """Be the only `daemon` of the machine, until the file is closed.

    Args:
        layout: of the machine.
        daemon: ``himds``, ``gcad`` or ``extd``.
        where: what to call the machine's place; None is its root.

    Raises:
        AgentError: 6, another one runs.
        OSError: the file cannot be had.
    """
    make_folder(layout["sockets"], mode=0o750)
    lock = (layout["sockets"] / f"{daemon}.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise AgentError(6, f"another {daemon} runs below {where or layout.root}") from error
    return lock


def is_held(lock: Path) -> bool:
    """Whether somebody has it."""
    try:
        with lock.open() as probe:
            fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
