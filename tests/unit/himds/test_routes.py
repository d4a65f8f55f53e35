"""The agent's connections, against servers that behave well and badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from arcbed_agent.cloud.transport import CloudError, Transport, UnreachableError
from arcbed_agent.config import LocalConfig
from arcbed_cloud.trust import CertificateAuthority

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#: More than a connection takes before it asks its peer to pause.
LARGE = 3_000_000

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[bool]]


class Server:
    """Answers each request with `answer`, which says whether the connection stays open."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.connections = 0
        self.bodies: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                lengths = {name.lower(): int(text) for name, text in fields.items() if text.isdigit()}
                self.bodies.append(await reader.readexactly(lengths.get(b"content-length", 0)))
                if not await self.answer(head, writer):
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(tmp_path, answer: Answer) -> AsyncIterator[tuple[Server, Transport]]:
    """A server over TLS, and a transport that trusts it."""
    authority = CertificateAuthority(tmp_path)
    made = Server(answer)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=authority.server_context())
    made.url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    async with server, Transport(LocalConfig({"tls.caBundle": str(authority.ca_file)})) as transport:
        yield made, transport


async def turn() -> None:
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.001, done.set_result, None)
    await done


async def well(_head: bytes, writer: asyncio.StreamWriter) -> bool:
    writer.write(OK)
    return True


async def test_calls_share_a_connection(tmp_path):
    async with serving(tmp_path, well) as (server, transport):
        answers = [await transport.send("POST", f"{server.url}/x", body={"n": n}) for n in range(5)]
    assert [answer.text for answer in answers] == ["ok"] * 5
    assert server.bodies == [b'{"n":%d}' % n for n in range(5)]
    assert server.connections == 1


async def test_a_connection_that_was_closed_meanwhile_is_not_used_again(tmp_path):
    async def once(_head: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(OK)
        return False

    async with serving(tmp_path, once) as (server, transport):
        for n in range(1, 4):
            assert (await transport.send("GET", server.url)).text == "ok"
            pool = transport._way._direct._pool
            async with asyncio.timeout(30):
                while not all(connection.has_expired() for connection in pool.connections):
                    await turn()
            assert server.connections == n


async def test_much_comes_and_goes_in_pieces(tmp_path):
    async def much(_head: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE + bytes(LARGE))
        return True

    async with serving(tmp_path, much) as (server, transport):
        received = 0
        async with transport.stream("GET", server.url) as answer:
            async for piece in answer.aiter_bytes():
                received += len(piece)
        assert received == LARGE
        await transport.send("PUT", server.url, content=b"x" * LARGE)
    assert server.bodies == [b"", b"x" * LARGE]


async def test_a_server_that_hangs_up_has_not_been_reached(tmp_path):
    async def slam(_head: bytes, _writer: asyncio.StreamWriter) -> bool:
        return False

    async with serving(tmp_path, slam) as (server, transport):
        with pytest.raises(UnreachableError, match="disconnected"):
            await transport.send("GET", server.url)


async def test_a_server_that_says_nothing_is_given_up(tmp_path):
    done = asyncio.Event()

    async def silent(_head: bytes, _writer: asyncio.StreamWriter) -> bool:
        return await done.wait()

    async with serving(tmp_path, silent) as (server, transport):
        with pytest.raises(UnreachableError, match="ReadTimeout"):
            await transport.send("GET", server.url, read_timeout=0.05)
        done.set()


async def test_an_answer_that_is_cut_short_is_none(tmp_path):
    async def short(_head: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf")
        return False

    async with serving(tmp_path, short) as (server, transport):
        with pytest.raises(UnreachableError, match="without sending complete message body"):
            await transport.send("GET", server.url)


async def test_a_refusal_closes_nothing(tmp_path):
    async def refuse(_head: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        return True

    async with serving(tmp_path, refuse) as (server, transport):
        for _ in range(3):
            with pytest.raises(CloudError):
                await transport.send("GET", server.url)
            with pytest.raises(CloudError):
                async with transport.stream("GET", server.url):
                    pass
    assert server.connections == 1


async def test_nobody_at_a_port_is_told_in_the_systems_words():
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with Transport(LocalConfig()) as transport:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(
                UnreachableError, match=r"(Connection refused|All connection attempts failed)$"
            ):
                await transport.send("GET", f"https://{host}:{port}")
