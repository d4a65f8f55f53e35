"""The connections below the agent's HTTP client, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from arcbed_agent.cloud.routes import Way, answered

MEGABYTE = 1024 * 1024
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """The URL of a server that hands each connection to `serve`."""
    tasks: set[asyncio.Task[None]] = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(served(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/"
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def way():
    made = Way()
    yield made
    await made.aclose()


def asked(url: str, method: str = "GET", content: bytes = b"", seconds: float = 60.0) -> httpx.Request:
    limits = dict.fromkeys(("connect", "read", "write", "pool"), seconds)
    return httpx.Request(method, url, content=content, extensions={"timeout": limits})


def head(length: int, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n".encode()


async def turn() -> None:
    """One turn of the event loop."""
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(done.set_result, None)
    await done


async def request(reader: asyncio.StreamReader) -> bytes:
    """Read one request's head."""
    return await reader.readuntil(b"\r\n\r\n")


async def test_a_large_answer_arrives_whole_though_it_is_read_slowly(way):
    body = bytes(range(256)) * (4 * MEGABYTE // 256)

    async def serve(reader, writer):
        await request(reader)
        writer.write(head(len(body)) + body)
        await writer.drain()

    async with serving(serve) as url:
        answer = await way.handle_async_request(asked(url))
        parts = []
        async for part in answer.aiter_bytes(1_000):
            parts.append(part)
            if len(parts) % 500 == 0:
                for _ in range(10):  # the sender goes on meanwhile, and is asked to pause
                    await turn()
        assert b"".join(parts) == body


async def test_a_large_request_arrives_whole_at_a_server_that_reads_slowly(way):
    body = bytes(range(256)) * (4 * MEGABYTE // 256)
    came = bytearray()

    async def serve(reader, writer):
        await request(reader)
        while len(came) < len(body):
            came.extend(await reader.read(10_000))
            await turn()
        writer.write(head(2) + b"ok")

    async with serving(serve) as url:
        answer = await answered(way, asked(url, "PUT", body))
        assert answer.content == b"ok"
        assert bytes(came) == body


async def test_a_refusal_before_the_whole_request_was_read_is_heard(way):
    async def serve(reader, writer):
        await request(reader)
        writer.write(head(4, "413 Content Too Large") + b"much")
        await writer.drain()
        writer.write_eof()
        while await reader.read(MEGABYTE):
            pass
        writer.close()

    async with serving(serve) as url:
        answer = await answered(way, asked(url, "PUT", bytes(3 * MEGABYTE)))
        assert (answer.status_code, answer.content) == (413, b"much")


async def test_an_answer_that_breaks_off_is_an_error(way):
    async def serve(reader, writer):
        await request(reader)
        writer.write(head(100) + b"half")
        writer.close()

    async with serving(serve) as url:
        with pytest.raises(httpx.RemoteProtocolError):
            await answered(way, asked(url))


async def test_a_connection_that_is_reset_is_an_error(way):
    async def serve(reader, writer):
        await request(reader)
        linger = (1).to_bytes(4, "little") + bytes(4)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with serving(serve) as url:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await answered(way, asked(url))


async def test_silence_ends_with_the_time_limit(way):
    async def serve(reader, _writer):
        await request(reader)
        await asyncio.Event().wait()

    async with serving(serve) as url:
        with pytest.raises(httpx.ReadTimeout):
            await answered(way, asked(url, seconds=0.05))


async def test_nobody_listening_is_told_in_the_systems_words(way):
    async with serving(lambda *_: turn()) as url:
        pass
    with pytest.raises(httpx.ConnectError) as told:
        await answered(way, asked(url))
    assert str(told.value) == "Connection refused"


async def test_a_connection_is_used_again_unless_the_server_has_closed_it(way):
    connections = served = 0

    async def serve(reader, writer):
        nonlocal connections, served
        connections += 1
        for _ in range(2):
            await request(reader)
            served += 1
            writer.write(head(2) + b"ok")
        writer.close()
        await writer.wait_closed()

    async with serving(serve) as url:
        for made in (1, 1, 2, 2, 3):
            assert (await answered(way, asked(url))).content == b"ok"
            assert connections == made
            while served == 2 * connections and any(not one.has_expired() for one in way._pool.connections):
                await turn()  # until the end of the connection has come
