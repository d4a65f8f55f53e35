"""The resolver's sockets: UDP and TCP on one port, and the way to another resolver."""

from __future__ import annotations

import asyncio
import contextlib

from arcbed_cloud.services.dns.resolver import Resolver

#: Real seconds that an idle TCP client is waited for, and another resolver's answer.
PATIENCE = 5.0
LARGEST = 512


class DnsServer:
    """Serves a `Resolver` on one address.

    Args:
        resolver: what is answered.
        host: address to listen on.
        port: 0 takes one that is free for both protocols.
    """

    def __init__(self, resolver: Resolver, host: str, port: int) -> None:
        self._resolver = resolver
        self._host = host
        self.port = port
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken or not allowed.
        """
        self._tcp = await asyncio.start_server(self._stream, self._host, self.port)
        self.port = self._tcp.sockets[0].getsockname()[1]
        try:
            self._udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Datagrams(self._resolver), (self._host, self.port)
            )
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close both sockets."""
        if self._udp:
            self._udp.close()
        if self._tcp:
            self._tcp.close()
            await self._tcp.wait_closed()

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            while True:
                async with asyncio.timeout(PATIENCE):
                    size = int.from_bytes(await reader.readexactly(2))
                    query = await reader.readexactly(size)
                answer = await self._resolver.answer(query)
                if answer is None:
                    break
                writer.write(len(answer).to_bytes(2) + answer)
                await writer.drain()
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.create_task(self._answer(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, peer: tuple[str, int]) -> None:
        answer = await self._resolver.answer(data)
        if answer is not None and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(answer, peer)


class Upstream:
    """Another resolver, asked over UDP. Calling it with a query's bytes gives the answer's.

    Raises:
        OSError: it does not answer within five real seconds.
    """

    def __init__(self, host: str, port: int = 53) -> None:
        self._peer = (host, port)

    async def __call__(self, query: bytes) -> bytes:
        """Ask once."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Once(answer), remote_addr=self._peer)
        try:
            transport.sendto(query)
            async with asyncio.timeout(PATIENCE):
                return await answer
        finally:
            transport.close()


class _Once(asyncio.DatagramProtocol):
    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self._answer = answer

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:  # noqa: ARG002 - the socket is connected
        if not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)
