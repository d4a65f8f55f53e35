"""Relays of the harness: what they pass on, and for how long."""

from __future__ import annotations

import argparse
import asyncio
import gc

import pytest

from arcbed.harness import relay

PROXY = {"kind": "forward", "milliseconds": 0, "to": "", "refuse": [], "address": "127.0.0.1", "port": 0}


@pytest.fixture
async def proxy(monkeypatch):
    """A proxy in this process; its port."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(relay, "said", lambda line: told.done() or told.set_result(line))
    task = asyncio.create_task(relay.proxy(argparse.Namespace(**PROXY)))
    yield int((await told).split()[-1])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_answer_reaches_a_client_that_has_sent_its_last_byte_long_ago(proxy):
    """Python's collector of cycles may run meanwhile; it once took the waiting tunnel with it."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def serve(reader, writer):
        assert await reader.read() == b"ping"
        asked.set()
        await answer.wait()
        writer.write(b"pong")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy)
    writer.write(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.write(b"ping")
    writer.write_eof()
    await asked.wait()
    gc.collect()
    answer.set()
    assert await reader.read() == b"pong"
    writer.close()
    server.close()
