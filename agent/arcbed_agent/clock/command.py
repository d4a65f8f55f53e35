"""Time for a command such as azcmagent: it holds the bed's time while it works, not while it waits for himds.

A command sleeps in real time: it holds the bed's, so that nothing else happens meanwhile.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from arcbed_agent.clock.channel import PATIENCE, Address, Hello, introduce
from arcbed_agent.clock.system import SystemClock
from arcbed_agent.errors import AgentError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHILD = "ARCBED_CLOCK_CHILD"
_TASK = 1


class CommandClock(SystemClock):
    """The bed's time for a command; the machine's own where there is no bed, or its keeper is away.

    Args:
        settings: the values of localconfig.json, as `open_clock` takes them.
        command: what runs, as in ``machine/azcmagent/connect``.
    """

    def __init__(self, settings: Mapping[str, Any], command: str) -> None:
        super().__init__()
        self._line: socket.socket | None = None
        self._frozen: datetime | None = None
        self._naps = itertools.count(1)
        if address := str(settings.get("clock.address") or ""):
            self.machine = str(settings.get("clock.machine") or self.machine)
            with suppress(OSError, ValueError, AgentError):
                self._begin(address, str(settings.get("clock.tokenFile") or ""), command)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def now(self) -> datetime:
        """The bed's time; a standing clock stands while a command runs."""
        return self._frozen or super().now()

    @property
    def standing(self) -> datetime | None:
        """The bed's time, where it stood when the command began."""
        return self._frozen

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let time go on while somebody else, who has declared himself running, works for this command.

        Whoever it is must not rest before the block has ended, or time could slip between the two.
        """
        self._say("sleep", _TASK, next(self._naps), None)
        try:
            yield
        finally:
            self._say("awake", _TASK)
            self._sync()

    def _begin(self, address: str, token_file: str, command: str) -> None:
        token = Path(token_file).read_text(encoding="utf-8").strip() if token_file else ""
        hello = Hello(self.machine, "azcmagent", token=token, child=os.environ.get(CHILD, ""))
        line, answer = introduce(Address(address), hello)
        line.settimeout(PATIENCE)
        self._line = line
        self._offset = timedelta(microseconds=answer["offset"])
        if answer["now"] is not None:
            self._frozen = _EPOCH + timedelta(microseconds=answer["now"])
        self._say("task", _TASK, f"{self.machine}/azcmagent/{command}")
        self._say("tasks", [])
        self._sync()

    def _say(self, *message: Any) -> None:
        if self._line is not None:
            with suppress(OSError):
                self._line.sendall(json.dumps(message).encode() + b"\n")

    def _sync(self) -> None:
        """Return when the keeper has heard all that was said."""
        if self._line is None:
            return
        number = next(self._naps)
        self._say("sync", number)
        with suppress(OSError, ValueError), self._line.makefile("rb", buffering=0) as stream:
            while (read := stream.readline()) and json.loads(read)[:2] != ["synced", number]:
                pass
