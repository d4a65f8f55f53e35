"""The Unix socket on which azcmagent gives orders. Lines: `messages`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from arcbed_agent.clock import Clock, SystemClock
from arcbed_agent.errors import AgentError
from arcbed_agent.files import make_folder
from arcbed_agent.himds.messages import LINE_LIMIT, Progress, socket_address

CONNECTIONS: Final = 32
#: Real seconds for a request line to arrive.
PATIENCE: Final = 30.0
#: Real seconds for a caller to hang up after its answer.
FAREWELL: Final = 5.0
_CREDENTIALS: Final = struct.Struct("3i")

Report = Callable[[Progress], Awaitable[None]]
Method = Callable[[dict[str, Any], Report], Awaitable[dict[str, Any]]]


class IpcServer:
    """Serves `methods` to root and to the user that himds runs as.

    A caller that goes away cancels what it asked for. An answer holds time until its caller, who then holds
    it himself, has hung up.

    Args:
        path: of the socket.
        methods: by name.
        log: where failures go.
        clock: what answers hold; by default nothing.
        name: of the daemon, in clock task names.
    """

    def __init__(
        self,
        path: Path,
        methods: dict[str, Method],
        log: logging.Logger,
        clock: Clock | None = None,
        name: str = "machine/daemon",
    ) -> None:
        self._clock = clock or SystemClock()
        self._name = name
        self._path = path
        self._methods = methods
        self._log = log
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen; a socket that an earlier himds left behind is replaced.

        Raises:
            OSError: the socket cannot be made.
        """
        make_folder(self._path.parent, mode=0o750)
        self._path.unlink(missing_ok=True)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            with socket_address(self._path) as address:
                bound.bind(address)
        except BaseException:
            bound.close()
            raise
        finally:
            os.umask(mask)
        self._server = await asyncio.start_unix_server(self._accept, sock=bound, limit=LINE_LIMIT)

    async def stop(self) -> None:
        """Stop listening, cancel what is going on, and remove the socket."""
        if self._server is None:
            return
        self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= CONNECTIONS or not self._allowed(writer):
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # `stop` cancels; Python 3.11 prints a traceback for a connection that ends cancelled
        except (OSError, TimeoutError, ValueError) as error:
            self._log.debug("IPC connection failed: %s", error)
        finally:
            self._connections.discard(task)
            writer.close()

    def _allowed(self, writer: asyncio.StreamWriter) -> bool:
        peer: socket.socket = writer.get_extra_info("socket")
        raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _pid, uid, _gid = _CREDENTIALS.unpack(raw)
        if uid in {0, os.geteuid()}:
            return True
        self._log.warning("IPC connection of user %d was refused", uid)
        return False

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(PATIENCE):
            line = await reader.readline()
        if not line:
            return
        gone = asyncio.ensure_future(reader.read(1))
        work = asyncio.ensure_future(self._answer(line, writer, gone))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter, gone: asyncio.Future[bytes]) -> None:
        async def report(progress: Progress) -> None:
            await _write(writer, {"progress": progress.to_json()})

        try:
            method, parameters = _parse(line, self._methods)
            answer = {"result": await method(parameters, report)}
        except AgentError as error:
            answer = {"error": {"number": error.number, "message": error.message, "advice": error.advice}}
        except Exception as error:  # noqa: BLE001 - the caller gets an answer, whatever is wrong here
            self._log.exception("IPC request failed")
            answer = {"error": {"number": 2, "message": f"{type(error).__name__}: {error}", "advice": ""}}
        async with self._clock.task(f"{self._name}/answer"):
            await _write(writer, answer)
            await asyncio.wait({gone}, timeout=FAREWELL)


def _parse(line: bytes, methods: dict[str, Method]) -> tuple[Method, dict[str, Any]]:
    try:
        document = json.loads(line)
        name, parameters = document["method"], document.get("parameters") or {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AgentError(2, f"malformed request: {error}") from None
    if not isinstance(name, str) or name not in methods or not isinstance(parameters, dict):
        raise AgentError(3, f"himds has no method '{name}'")
    return methods[name], parameters


async def _write(writer: asyncio.StreamWriter, document: dict[str, Any]) -> None:
    writer.write(json.dumps(document).encode() + b"\n")
    await writer.drain()
