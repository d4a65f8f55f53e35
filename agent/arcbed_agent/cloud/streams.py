"""The connections of the agent's HTTP client: TCP and TLS as asyncio has them.

httpcore's own connections are anyio's, with which a call over TLS, or an attempt that nobody answers, costs a
third more CPU time (``tests/benchmarks/KEEPER.md``). Source: httpcore's documentation, "Network Backends".
"""
# ruff: noqa: ASYNC109 - httpcore's contract has time limits as arguments

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

import httpcore

#: Bytes that wait to be read before the peer is asked to pause, and to be sent before they are.
_ENOUGH: Final = 256 * 1024
#: Seconds after which the next address of a name is tried beside the one before. Source: RFC 8305.
_NEXT_ADDRESS: Final = 0.25


class Connections(httpcore.AsyncNetworkBackend):
    """Opens connections for a pool of httpcore."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Stream:
        """Connect to the first address of `host` that answers; the last two arguments are for others.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: nobody answers.
        """
        del local_address, socket_options
        delay = None if _is_address(host) else _NEXT_ADDRESS
        async with _connecting(timeout):
            _, stream = await asyncio.get_running_loop().create_connection(
                Stream, host, port, happy_eyeballs_delay=delay
            )
        return stream


class Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection. What is written goes out when an answer is waited for: head and body in one piece."""

    def __init__(self) -> None:
        self._transport = asyncio.Transport()
        self._waiting: list[bytes] = []
        self._arrived = bytearray()
        self._paused = False
        self._over = False
        self._error: Exception | None = None
        self._heard: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None

    # -- what asyncio says -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a stream
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Something has arrived."""
        self._arrived += data
        if len(self._arrived) > _ENOUGH and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        _set(self._heard)

    def eof_received(self) -> None:
        """Nothing more will arrive; the transport closes itself."""
        self._over = True
        _set(self._heard)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._over, self._error = True, exc
        _set(self._heard)
        self.resume_writing()

    def pause_writing(self) -> None:
        """The peer reads too slowly."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It has caught up, or will never."""
        _set(self._writable)
        self._writable = None

    # -- what httpcore asks for ------------------------------------------------------------------------------

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has arrived, up to `max_bytes`; empty at the end.

        Raises:
            httpcore.ReadTimeout, httpcore.ReadError, httpcore.WriteError: nothing will.
        """
        self._send()
        if not self._arrived and not self._over:
            self._heard = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await self._heard
            except TimeoutError as error:
                raise httpcore.ReadTimeout from error
            finally:
                self._heard = None
        if not self._arrived and self._error is not None:
            raise httpcore.ReadError(str(self._error)) from self._error
        taken = bytes(self._arrived[:max_bytes])
        del self._arrived[:max_bytes]
        if self._paused and len(self._arrived) <= _ENOUGH:
            self._paused = False
            self._transport.resume_reading()
        return taken

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send `buffer` with the next read, or now if much is waiting already.

        Raises:
            httpcore.WriteTimeout, httpcore.WriteError: it cannot be sent.
        """
        self._waiting.append(buffer)
        if sum(map(len, self._waiting)) <= _ENOUGH:
            return
        self._send()
        if self._writable is not None:
            try:
                async with asyncio.timeout(timeout):
                    await self._writable
            except TimeoutError as error:
                raise httpcore.WriteTimeout from error

    def _send(self) -> None:
        buffer, self._waiting = b"".join(self._waiting), []
        if not buffer:
            return
        if self._transport.is_closing():
            # A server that refuses a request may have answered before it closed.
            if self._arrived:
                return
            raise httpcore.WriteError(str(self._error or "the connection was closed"))
        self._transport.write(buffer)

    async def aclose(self) -> None:
        """Close it, without waiting for the peer to agree."""
        self._transport.abort()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Stream:
        """Go on over TLS.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: no handshake, or the peer is not trusted.
        """
        try:
            async with _connecting(timeout):
                secured = await asyncio.get_running_loop().start_tls(
                    self._transport, self, ssl_context, server_hostname=server_hostname
                )
        except BaseException:
            self._transport.abort()
            raise
        if secured is None:
            raise httpcore.ConnectError("the connection was closed")
        self._transport = secured
        return self

    def get_extra_info(self, info: str) -> Any:
        """What httpcore and others look at."""
        if info == "is_readable":
            # An idle connection says nothing, unless it is closed.
            return self._over or bool(self._arrived)
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._transport.get_extra_info(names.get(info, info))


@asynccontextmanager
async def _connecting(timeout: float | None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(timeout):
            yield
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(str(error)) from error
    except OSError as error:
        raise httpcore.ConnectError(_why(error)) from error


def _why(error: OSError) -> str:
    """What the system says; asyncio would name address and port as well."""
    if isinstance(error, ssl.SSLError | socket.gaierror):
        return str(error)
    if error.errno:
        return os.strerror(error.errno)
    return "All connection attempts failed" if str(error).startswith("Multiple") else str(error)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _set(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
