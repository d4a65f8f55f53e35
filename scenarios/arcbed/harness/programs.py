"""This installation's programs as processes of a bed: where they are, what they see, when they are up."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from arcbed.harness import clock
from arcbed.harness.errors import BedError, NotReadyError

READY_SECONDS = 30.0
#: Variables that a process of a bed keeps: neither proxies nor anybody's Azure login may leak in.
KEPT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHASHSEED",
    "COVERAGE_PROCESS_START",
)


def program(name: str) -> str:
    """Where a console script of this installation is.

    Raises:
        BedError: it is not installed.
    """
    beside = Path(sysconfig.get_path("scripts")) / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if not found:
        raise BedError(f"{name} is not installed: pip install 'arcbed[all]'")
    return found


def environment(**more: str) -> dict[str, str]:
    """The environment of a process of a bed; programs of this Python come first."""
    kept = {key: os.environ[key] for key in KEPT if key in os.environ}
    path = f"{Path(sys.executable).parent}:{kept.get('PATH', os.defpath)}"
    return kept | {"PATH": path, "PYTHONUNBUFFERED": "1"} | more


class Starting(Protocol):
    """A process that is coming up."""

    @property
    def name(self) -> str:
        """How people call it."""

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""

    def died(self) -> BedError:
        """The error that says it has."""

    def tail(self) -> str:
        """The end of its log."""


async def wait_ready(child: Starting, probe: Callable[[], Awaitable[bool]]) -> None:
    """Wait until `probe()` is true; at most 30 real seconds.

    Raises:
        ProcessDiedError: `child` ended meanwhile.
        NotReadyError: it is still not ready.
    """

    async def once() -> bool | None:
        if not child.alive:
            raise child.died()
        return (await probe()) or None

    if await clock.until(once, limit=READY_SECONDS) is None:
        raise NotReadyError(f"{child.name} was not ready within {READY_SECONDS:g} s\n{child.tail()}".rstrip())
