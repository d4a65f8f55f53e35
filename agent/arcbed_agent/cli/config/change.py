"""Changing localconfig.json: one writer at a time, then himds is told."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from arcbed_agent.cli.session import Session
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.files import make_folder

#: What Microsoft manages in monitor mode, and nobody else.
_FIXED_IN_MONITOR_MODE = (
    "extensions.allowlist",
    "extensions.blocklist",
    "guestconfiguration.enabled",
    "incomingconnections.",
)


def check_mode(config: LocalConfig, name: str) -> None:
    """Refuse to change what monitor mode keeps as it is.

    Raises:
        AgentError: 27, the mode has to be changed first.
    """
    if config.text("config.mode") == "monitor" and name.startswith(_FIXED_IN_MONITOR_MODE):
        raise AgentError(
            27,
            f"config property {name} cannot be changed while config.mode is monitor",
            "Set config.mode to full first.",
        )


def change(session: Session, alter: Callable[[LocalConfig], LocalConfig]) -> LocalConfig:
    """Read, `alter` and write localconfig.json, then make himds read it; answers what it was before.

    himds need not be running: it reads the file when it starts.

    Raises:
        AgentError: 69 or 70, the file cannot be written or read; 64, himds runs and did not take it.
    """
    with _alone(session):
        before = LocalConfig.load(session.layout)
        alter(before).save(session.layout)
    try:
        session.himds.reload()
    except AgentError as error:
        if error.number != 61:
            raise
        session.log.info("himds is not running and will read the configuration when it starts")
    return before


@contextmanager
def _alone(session: Session) -> Iterator[None]:
    """Hold the folder's lock, so that two changes at the same time both last."""
    try:
        folder = os.open(make_folder(session.layout["home"]), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise AgentError(69, f"cannot open {session.layout['home']}: {error.strerror}") from error
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
