"""Which processes belong to a folder, by the files that the kernel knows they have open."""

from __future__ import annotations

import contextlib
from pathlib import Path


def running_below(folder: Path) -> set[str]:
    """The names of processes that have a file below `folder` open."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(one.readlink().is_relative_to(folder) for one in (process / "fd").iterdir()):
                found.add((process / "comm").read_text().strip())
    return found
