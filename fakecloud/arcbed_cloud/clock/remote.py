"""Processes elsewhere whose tasks the keeper knows: ``docs/wire.md``, section 3.1."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson
import structlog

from arcbed_cloud.clock.agenda import Entry

if TYPE_CHECKING:
    from arcbed_cloud.clock.channel import Channel

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LIMIT: Final = 1_048_576

_log = structlog.get_logger(__name__)


def microseconds(instant: datetime) -> int:
    """Whole microseconds since 1970."""
    return (instant - EPOCH) // _MICROSECOND


def instant(count: int) -> datetime:
    """The time `count` microseconds after 1970."""
    return EPOCH + timedelta(microseconds=count)


class Placeholder:
    """Something that is expected and holds time until it is there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.deadline: datetime | None = None


class RemoteTask:
    """A loop of another process."""

    __slots__ = ("adopted", "awake", "deadline", "entry", "name", "nap", "number", "process")

    def __init__(self, process: RemoteProcess, number: int, name: str) -> None:
        self.process = process
        self.number = number
        self.name = name
        self.awake = True
        self.nap = 0
        self.adopted = 0
        self.deadline: datetime | None = None
        self.entry: Entry | None = None

    def sleep(self, nap: int, deadline: int | None) -> None:
        """It sleeps until `deadline`, for the `nap`-th time."""
        keeper = self.process.channel.keeper
        self.nap = nap
        self.deadline = None if deadline is None else instant(deadline)
        self._strike()
        if self.deadline is not None:
            self.entry = keeper.enter(self.deadline, self.name, self)
        if self.awake:
            self.awake = False
            keeper.release(self)

    def rouse(self) -> None:
        """Something in its own process has woken it."""
        self._strike()
        if not self.awake:
            self.awake = True
            self.process.channel.keeper.hold(self)

    def set(self) -> None:
        """Its deadline has come."""
        self.entry = None
        if not self.awake:
            self.rouse()
            self.process.send(
                b'["wake",%d,%d,%d]\n'
                % (self.number, self.nap, microseconds(self.process.channel.keeper.now()))
            )

    def end(self) -> None:
        """It is gone."""
        self._strike()
        self.process.channel.keeper.drop(self)

    def _strike(self) -> None:
        if self.entry is not None:
            self.process.channel.keeper.strike(self.entry)
            self.entry = None


class RemoteProcess(asyncio.Protocol):
    """One line to a process. It holds time from its hello until it has listed its tasks."""

    def __init__(self, channel: Channel, *, trusted: bool) -> None:
        self.channel = channel
        self.name = ""
        self.child = ""
        self.tasks: dict[int, RemoteTask] = {}
        self.start = 0
        self._trusted = trusted
        self._rest = b""
        self._greeted = False
        self._starting: Placeholder | None = None
        self._transport: asyncio.Transport | None = None

    # -- the line ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody is there."""
        self._transport = transport  # type: ignore[assignment]  # a stream's transport
        self.channel.lines.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """It has ended, or we hung up: it holds time no more."""
        self._transport = None
        self.channel.lines.discard(self)
        for task in self.tasks.values():
            task.end()
        self.tasks.clear()
        self._started()
        if self.name:
            self.channel.left(self)

    def data_received(self, data: bytes) -> None:
        """Take whole lines, keep the rest."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        try:
            for line in lines:
                message = orjson.loads(line)
                if self._greeted:
                    self._heard(message)
                else:
                    self._greet(message)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
            _log.warning("clock_line_refused", process=self.name, error=str(error))
            self.refuse(f"not understood: {error}")
        if len(self._rest) > _LIMIT:
            self.refuse("the line is too long")

    def send(self, line: bytes) -> None:
        """Send one message."""
        if self._transport is not None:
            self._transport.write(line)

    def say(self, message: Any) -> None:
        """Send one message as JSON."""
        self.send(orjson.dumps(message) + b"\n")

    def refuse(self, why: str) -> None:
        """Say why not, and hang up."""
        self.say({"error": why})
        self.close()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def announce(self) -> None:
        """Say what time it is."""
        if self._greeted:
            self.say(["time", *self.channel.time()])

    # -- what it says --------------------------------------------------------------------------------------

    def _greet(self, hello: dict[str, Any]) -> None:
        if hello["version"] != 1:
            self.refuse("only version 1 of the clock's channel is spoken here")
            return
        if not self._trusted and not self.channel.accepts(str(hello.get("token", ""))):
            self.refuse("the clock's token is wrong")
            return
        self.name = f"{hello['machine']}/{hello['daemon']}"
        self.child = str(hello.get("child") or "")
        self._greeted = True
        self._starting = Placeholder(f"{self.name}/start")
        self.channel.keeper.hold(self._starting)
        self.channel.came(self, fresh=hello["fresh"] is True, now=hello.get("now"))

    def welcome(self, seed: str) -> None:
        """Answer its hello."""
        now, offset = self.channel.time()
        self.say({"version": 1, "now": now, "offset": offset, "seed": seed})

    def _heard(self, message: list[Any]) -> None:
        kind = message[0]
        if kind == "sleep":
            self.tasks[message[1]].sleep(message[2], message[3])
        elif kind == "awake":
            self.tasks[message[1]].rouse()
        elif kind == "hold":
            self.channel.keeper.hold(self.tasks[message[1]])
        elif kind == "release":
            self.channel.keeper.release(self.tasks[message[1]])
        elif kind in {"task", "child"}:
            self._register(message[1], message[2], child=kind == "child")
        elif kind == "end":
            self._end(message[1])
        elif kind == "sync":
            self.say(["synced", message[1], *self.channel.time()])
        elif kind == "tasks":
            self._listed(message[1])
        else:
            raise ValueError(f"unknown message {kind!r}")

    def _register(self, number: int, name: str, *, child: bool = False) -> RemoteTask:
        task = self.tasks[number] = RemoteTask(self, number, str(name))
        self.channel.keeper.register(task)
        self.channel.keeper.hold(task)
        if child:
            self.channel.children[task.name] = task
        return task

    def _end(self, number: int) -> None:
        task = self.tasks.pop(number)
        if self.channel.children.get(task.name) is task:
            del self.channel.children[task.name]
        task.end()

    def _listed(self, tasks: list[list[Any]]) -> None:
        """All its tasks: none of a process that has just started, some of one that lost its line."""
        for number, name, child, awake, holds, nap, deadline in tasks:
            task = self._register(number, name, child=child)
            for _ in range(holds):
                self.channel.keeper.hold(task)
            if not awake:
                task.sleep(nap, deadline)
        self._started()

    def _started(self) -> None:
        if self._starting is not None:
            self.channel.keeper.drop(self._starting)
            self._starting = None
