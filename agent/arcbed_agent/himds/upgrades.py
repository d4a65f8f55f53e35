"""Upgrades that the service asks for: ``docs/wire.md``, section 10.2."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from arcbed_agent import AGENT_VERSION
from arcbed_agent.clock import Clock
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.state import rfc3339
from arcbed_agent.host.layout import Layout
from arcbed_agent.logging import fields
from arcbed_agent.upgrade import Attempt, matches
from arcbed_agent.upgrade.packages import checked

Launch = Callable[[Sequence[str]], None]
#: There while systemd is the system's manager: sd_booted(3).
_SYSTEMD = Path("/run/systemd/system")


class Upgrades:
    """Starts ``azcmagent upgrade`` beside himds, once for each request, and reports how the newest went.

    Args:
        layout: the machine's files.
        clock: the machine's time.
        log: where to write.
        launch: starts a command that outlives this process.
    """

    def __init__(
        self, layout: Layout, clock: Clock, log: logging.Logger, launch: Launch | None = None
    ) -> None:
        self._layout = layout
        self._clock = clock
        self._log = log
        self._launch = launch or _launch

    def reported(self) -> dict[str, str]:
        """The member `agentUpgrade` of a heartbeat; empty where nothing was tried."""
        attempt = Attempt.load(self._layout)
        return attempt.reported() if attempt else {}

    def consider(self, wish: Any) -> None:
        """Do what the member `agentUpgrade` of an answer asks for, unless it is done or was tried."""
        if not isinstance(wish, Mapping):
            return
        version, request = str(wish.get("desiredVersion") or ""), str(wish.get("correlationId") or "")
        if not version or matches(version, AGENT_VERSION):
            return
        before = Attempt.load(self._layout)
        if before and (before.desired_version, before.correlation_id) == (version, request):
            return
        self._start(version, request)

    def _start(self, version: str, request: str) -> None:
        attempt = Attempt(
            desired_version=version, correlation_id=request, timestamp=rfc3339(self._clock.now())
        )
        self._log.info("Upgrade is asked for", extra=fields({"Version": version, "Correlation ID": request}))
        try:
            checked(version)
            attempt.save(self._layout)
            program = str(self._layout["programs"] / "azcmagent")
            more = ["--correlation-id", request] if request else []
            self._launch([program, "upgrade", "--version", version, *more])
        except (AgentError, OSError) as error:
            text = error.message if isinstance(error, AgentError) else str(error)
            self._log.error("Upgrade cannot be started", extra=fields(Error=text))
            Attempt(
                desired_version=version,
                correlation_id=request,
                status="Failed",
                timestamp=attempt.timestamp,
                message=text,
            ).save(self._layout)


def _launch(command: Sequence[str]) -> None:
    """Start `command` where the end of himds' service does not end it.

    systemd ends a service's whole control group, so there it becomes a unit of its own.
    """
    if _SYSTEMD.is_dir():
        command = ["systemd-run", "--quiet", "--collect", "--unit=azcmagent-upgrade", *command]
    subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
