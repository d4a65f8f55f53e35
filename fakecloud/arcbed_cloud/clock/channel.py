"""The keeper's channel: where processes of machines tell whether they run or sleep, and are woken.

A Unix socket ``clock.sock`` in the state folder, and on request TCP on the control network, where a token is
asked for. It is a listener of its own: what cuts a machine off from Azure does not cut it off from time.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import structlog

from arcbed_cloud.clock.keeper import Keeper
from arcbed_cloud.clock.remote import Placeholder, RemoteProcess, RemoteTask, instant, microseconds

_log = structlog.get_logger(__name__)

Keep = Callable[[dict[str, Any]], Awaitable[None]]
NOT_BACK = "not back since the control plane's restart"


class Channel:
    """Every process that has a line, and those that had one when an earlier keeper ended.

    Args:
        keeper: of the bed.
        seed: of the bed; each start of a daemon gets one of its own from it.
        token: what processes show that do not come through the Unix socket.
        keep: writes the roster down before a process is answered.
        roster: what `keep` wrote last: ``{name: {"starts": 3, "there": true}}``.
    """

    def __init__(
        self,
        keeper: Keeper,
        *,
        seed: str,
        token: str,
        keep: Keep,
        roster: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.keeper = keeper
        self.lines: set[RemoteProcess] = set()
        self.children: dict[str, RemoteTask] = {}
        self._seed = seed
        self._token = token
        self._keep = keep
        self._starts = {name: int(entry["starts"]) for name, entry in (roster or {}).items()}
        self._there = {name: 0 for name, entry in (roster or {}).items() if entry["there"]}
        self._missing = {name: Placeholder(f"{name} ({NOT_BACK})") for name in self._there}
        for missing in self._missing.values():
            keeper.hold(missing)
        self._closing = False
        self._writing: set[asyncio.Task[None]] = set()
        keeper.listen(self._announce)

    # -- for listeners -------------------------------------------------------------------------------------

    def trusted(self) -> RemoteProcess:
        """The protocol of a line through the Unix socket."""
        return RemoteProcess(self, trusted=True)

    def remote(self) -> RemoteProcess:
        """The protocol of a line through TCP."""
        return RemoteProcess(self, trusted=False)

    def close(self) -> None:
        """Hang up on everybody; they stay on the roster, since they go on running."""
        self._closing = True
        for line in list(self.lines):
            line.close()

    # -- for people ----------------------------------------------------------------------------------------

    @property
    def processes(self) -> list[str]:
        """Who has a line."""
        return sorted(line.name for line in self.lines if line.name)

    @property
    def missing(self) -> list[str]:
        """Who had a line before the keeper's restart and has not come back; time stands still meanwhile."""
        return sorted(self._missing)

    def forget_missing(self) -> None:
        """Go on without those who have not come back."""
        for name in list(self._missing):
            self._found(name)
            self._there.pop(name, None)
        self._write()

    def roster(self) -> dict[str, Any]:
        """What to remember of processes."""
        return {
            name: {"starts": starts, "there": name in self._there} for name, starts in self._starts.items()
        }

    # -- for lines -----------------------------------------------------------------------------------------

    def accepts(self, token: str) -> bool:
        """Is this the clock's token?"""
        return hmac.compare_digest(token.encode(), self._token.encode())

    def time(self) -> tuple[int | None, int]:
        """The standing time or None, and how far a flowing one is ahead of the wall clock; microseconds."""
        standing = self.keeper.standing
        return (
            None if standing is None else microseconds(standing),
            self.keeper.offset // timedelta(microseconds=1),
        )

    def came(self, process: RemoteProcess, *, fresh: bool, now: int | None) -> None:
        """A process has said hello; it is answered once it is on the roster."""
        if now is not None and self.keeper.standing is not None and instant(now) > self.keeper.now():
            # An earlier keeper ended in the middle of an advance: the machines know how far it had got.
            self.keeper.move_to(instant(now))
        self._there[process.name] = self._there.get(process.name, 0) + 1
        if fresh:
            self._starts[process.name] = self._starts.get(process.name, 0) + 1
        start = self._starts.setdefault(process.name, 1)
        self._found(process.name)
        if (parent := self.children.get(process.child)) is not None:
            parent.adopted += 1
            if parent.adopted == 1:
                self.keeper.release(parent)
        self._write(lambda: process.welcome(f"{self._seed}/{process.name}/{start}"))

    def left(self, process: RemoteProcess) -> None:
        """A line is gone; with its last line a process is."""
        if (parent := self.children.get(process.child)) is not None:
            parent.adopted -= 1
            if parent.adopted == 0:
                self.keeper.hold(parent)
        left = self._there.get(process.name, 0) - 1
        if left > 0:
            self._there[process.name] = left
        elif not self._closing:
            self._there.pop(process.name, None)
            self._write()

    # -- internals -----------------------------------------------------------------------------------------

    def _found(self, name: str) -> None:
        if missing := self._missing.pop(name, None):
            self.keeper.drop(missing)

    def _announce(self) -> None:
        for line in self.lines:
            line.announce()

    def _write(self, then: Callable[[], None] | None = None) -> None:
        async def write() -> None:
            await self._keep(self.roster())
            if then is not None:
                then()

        task = asyncio.get_running_loop().create_task(write())
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def written(self) -> None:
        """Return when the roster is on disk."""
        await asyncio.gather(*self._writing, return_exceptions=True)


@asynccontextmanager
async def listening(channel: Channel, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
    """Serve the channel on bound sockets: on Unix sockets to everybody, else to those with the token."""
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_unix_server(channel.trusted, sock=one)
        if one.family == socket.AF_UNIX
        else await loop.create_server(channel.remote, sock=one)
        for one in sockets
    ]
    try:
        yield
    finally:
        for server in servers:
            server.close()
