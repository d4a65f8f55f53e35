"""A small HTTP/1.1 server for the local endpoint: keeps the spelling of headers, costs nothing when idle.

Clients in the field look for ``Www-Authenticate`` in exactly these capitals; servers that lower-case names
break them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import h11

HEAD_LIMIT: Final = 16 * 1024
BODY_LIMIT: Final = 64 * 1024
CONNECTIONS: Final = 128
#: Real seconds for a whole request to arrive, and for the next one on an open connection.
PATIENCE: Final = 10.0
_CHUNK: Final = 16 * 1024


@dataclass(frozen=True)
class LocalRequest:
    """A request; header names are lower case, of repeated query parameters the first counts."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class LocalResponse:
    """An answer; `document` is sent as JSON."""

    status: int
    document: Any
    headers: tuple[tuple[str, str], ...] = field(default=())


Handler = Callable[[LocalRequest], Awaitable[LocalResponse]]


def failure(status: int, error: str, description: str, *headers: tuple[str, str]) -> LocalResponse:
    """An error in the shape of the instance metadata service."""
    return LocalResponse(status, {"error": error, "error_description": description}, headers)


def listen(port: int) -> list[socket.socket]:
    """Sockets on 127.0.0.1 and, where there is IPv6, on ::1 with the same port; 0 is any free one.

    Raises:
        OSError: the port is taken.
    """
    first = _bound(socket.AF_INET, "127.0.0.1", port)
    found = [first]
    with contextlib.suppress(OSError):
        found.append(_bound(socket.AF_INET6, "::1", first.getsockname()[1]))
    return found


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
    except BaseException:
        made.close()
        raise
    return made


class LocalServer:
    """Serves `handler` on loopback sockets."""

    def __init__(self, handler: Handler, log: logging.Logger) -> None:
        self._handler = handler
        self._log = log
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    async def start(self, port: int) -> None:
        """Begin to listen.

        Raises:
            OSError: the port is taken.
        """
        for bound in listen(port):
            self.port = bound.getsockname()[1]
            self._servers.append(await asyncio.start_server(self._accept, sock=bound, limit=HEAD_LIMIT))

    async def stop(self) -> None:
        """Stop listening and close what is open."""
        for server in self._servers:
            server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._servers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= CONNECTIONS:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (TimeoutError, ConnectionError, asyncio.CancelledError):
            pass  # `stop` cancels; Python 3.11 prints a traceback for a connection that ends cancelled
        except OSError as error:
            if error.errno not in {errno.EPIPE, errno.ETIMEDOUT}:
                self._log.debug("Local connection failed: %s", error)
        finally:
            self._connections.discard(task)
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection until it ends or misbehaves."""
        wire = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    request = await _receive(wire, reader)
                if request is None:
                    return
                response = await self._answer(request)
            except h11.RemoteProtocolError as error:
                response = failure(error.error_status_hint, "invalid_request", str(error))
            except _TooLargeError:
                response = failure(413, "invalid_request", f"The body is longer than {BODY_LIMIT} bytes")
            close = await _send(wire, writer, response)
            if close or wire.our_state is not h11.DONE or wire.their_state is not h11.DONE:
                return
            wire.start_next_cycle()

    async def _answer(self, request: h11.Request) -> LocalResponse:
        target = request.target.decode("ascii", "replace")
        if not target.startswith("/"):
            return failure(400, "invalid_request", "The request target must be a path")
        parts = urlsplit(f"http://localhost{target}")
        try:
            query = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=64)
        except ValueError:
            return failure(400, "invalid_request", "Too many query parameters")
        try:
            return await self._handler(
                LocalRequest(
                    request.method.decode("ascii"),
                    parts.path,
                    dict(reversed(query)),
                    {name.decode("ascii"): value.decode("latin-1") for name, value in request.headers},
                )
            )
        except Exception:  # noqa: BLE001 - one request must not end the daemon
            self._log.exception("Local request failed")
            return failure(500, "internal_error", "The request could not be answered")


class _TooLargeError(Exception):
    """The body is over the cap."""


async def _receive(wire: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """The next request with its body read and dropped; None at the end of the connection."""
    request: h11.Request | None = None
    size = 0
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            size += len(event.data)
            if size > BODY_LIMIT:
                raise _TooLargeError
        elif isinstance(event, h11.EndOfMessage):
            return request
        else:
            return None


async def _send(wire: h11.Connection, writer: asyncio.StreamWriter, response: LocalResponse) -> bool:
    """Send `response`; True if nothing may follow it."""
    if wire.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        return True
    body = json.dumps(response.document).encode()
    close = wire.their_state is not h11.DONE
    headers = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        *response.headers,
        *([("Connection", "close")] if close else []),
    ]
    phrase = _PHRASES.get(response.status, "")
    out = wire.send(h11.Response(status_code=response.status, headers=headers, reason=phrase.encode()))
    out = (out or b"") + (wire.send(h11.Data(data=body)) or b"") + (wire.send(h11.EndOfMessage()) or b"")
    writer.write(out)
    async with asyncio.timeout(PATIENCE):
        await writer.drain()
    return close


_PHRASES: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
