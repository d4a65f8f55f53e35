"""The line to the bed's time keeper: ``docs/wire.md``, section 3.1."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from arcbed_agent.errors import AgentError

VERSION: Final = 1
#: Real seconds for the keeper to answer, and for a keeper that restarts to come back.
PATIENCE: Final = 10.0
_PAUSE: Final = 0.05
_LIMIT: Final = 65_536


@dataclass(frozen=True)
class Address:
    """Where the keeper listens: a Unix socket's path, or ``host:port``."""

    text: str

    def dial(self) -> socket.socket:
        """A connected line that gives up after `PATIENCE` real seconds of silence.

        Raises:
            OSError: nobody listens.
        """
        if not self.text.startswith("/"):
            host, _, port = self.text.rpartition(":")
            line = socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return line
        path = Path(self.text)
        # A path too long for the kernel goes by its folder's descriptor.
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.settimeout(PATIENCE)
            line.connect(f"/proc/self/fd/{folder}/{path.name}")
        except BaseException:
            line.close()
            raise
        finally:
            os.close(folder)
        return line


@dataclass(frozen=True)
class Hello:
    """How a process introduces itself.

    Args:
        machine: whose it is.
        daemon: what it is.
        token: the bed's clock token; a Unix socket asks for none.
        child: the name under which a parent registered this process; empty for others.
        fresh: whether this is a new process, not a line that was lost.
        now: the newest bed time it has seen, in microseconds since 1970; None before the first.
    """

    machine: str
    daemon: str
    token: str = ""
    child: str = ""
    fresh: bool = True
    now: int | None = None

    def encode(self) -> bytes:
        """As a line."""
        document = {"version": VERSION, "pid": os.getpid(), **self.__dict__}
        return json.dumps(document).encode() + b"\n"


def introduce(address: Address, hello: Hello) -> tuple[socket.socket, dict[str, Any]]:
    """Connect and say hello; the line, no longer blocking, and the keeper's answer.

    Raises:
        OSError: the keeper does not answer.
        AgentError: 6, it refuses.
    """
    line = address.dial()
    try:
        line.sendall(hello.encode())
        answer = _read_line(line)
    except BaseException:
        line.close()
        raise
    if "error" in answer:
        line.close()
        raise AgentError(6, f"the bed's clock refuses this machine: {answer['error']}")
    line.setblocking(False)
    return line, answer


def persist(address: Address, hello: Hello) -> tuple[socket.socket, dict[str, Any]]:
    """As `introduce`, trying again while the keeper is away, for ten real seconds.

    Raises:
        AgentError: 6, it did not answer, or it refuses.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return introduce(address, hello)
        except (OSError, ValueError) as error:
            if time.monotonic() > deadline:
                raise AgentError(6, f"the bed's clock at {address.text} does not answer: {error}") from error
        time.sleep(_PAUSE)


def _read_line(line: socket.socket) -> dict[str, Any]:
    """The first line, byte by byte: what follows belongs to the event loop."""
    read = b""
    while not read.endswith(b"\n"):
        piece = line.recv(1)
        if not piece or len(read) > _LIMIT:
            raise ConnectionError("the line was closed")
        read += piece
    document = json.loads(read)
    if not isinstance(document, dict):
        raise ConnectionError("no keeper listens there")
    return document


class Line(asyncio.Protocol):
    """Messages of the keeper, one JSON array a line.

    What is said in one turn of the event loop goes out at its end, in one piece: a pull wakes three loops,
    which all say so and all ask for the time.

    Args:
        heard: gets each message.
        lost: called once when the line is gone.
    """

    def __init__(self, heard: Callable[[list[Any]], None], lost: Callable[[], None]) -> None:
        self._heard = heard
        self._lost = lost
        self._rest = b""
        self._said: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line stands."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take whole lines, keep the rest."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._heard(json.loads(line))

    def connection_lost(self, _exc: Exception | None) -> None:
        """The keeper has gone, or we hung up."""
        self._transport = None
        self._lost()

    def send(self, *message: Any) -> None:
        """Send one message; nothing where the line is gone."""
        if self._transport is None:
            return
        if not self._said:
            asyncio.get_running_loop().call_soon(self._flush)
        self._said.append(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Hang up."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        said, self._said = b"".join(self._said), []
        if said and self._transport is not None:
            self._transport.write(said)
