"""How connections and the control plane end: soon, and with every answer delivered."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import struct
from pathlib import Path

import uvloop

from arcbed_cloud import server
from arcbed_cloud.folder import Running
from arcbed_cloud.trust import CertificateAuthority

# More than the kernel takes for a peer that does not read: most of it waits in the buffers of the server.
LARGE = 24 * 1024 * 1024


def test_idle_tls_client_does_not_hold_up_the_end(serve):
    served = serve()
    context = ssl.create_default_context(cafile=served.state / "ca.pem")
    connection = http.client.HTTPSConnection(
        "localhost", Running.read(served.state).port, context=context, timeout=10
    )
    connection.request("GET", "/_fakecloud/ready")
    assert connection.getresponse().read()
    served.process.terminate()
    served.process.wait(server.GRACE_SECONDS - 1)
    assert served.process.returncode == 0
    connection.close()


async def _large(scope, receive, send):
    await receive()
    headers = [(b"content-length", str(LARGE).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(LARGE)})


def _listener() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return listener


async def _read_after_the_stop(authority: CertificateAuthority) -> int:
    listener = _listener()
    context = ssl.create_default_context(cafile=authority.ca_file)
    async with server._listening(_large, [listener], authority.server_context()):
        reader, writer = await asyncio.open_connection(
            *listener.getsockname(), ssl=context, server_hostname="localhost", limit=1024
        )
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        rest = asyncio.ensure_future(_drain(reader))
    writer.transport.abort()
    return await rest


async def _drain(reader: asyncio.StreamReader) -> int:
    """How much arrives, read from when the server has begun to stop: its first pause."""
    await server._turn(after=0.3)
    size = 0
    while chunk := await reader.read(65_536):
        size += len(chunk)
    return size


def test_answer_that_a_slow_client_still_reads_arrives_whole(tmp_path: Path):
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_read_after_the_stop(CertificateAuthority(tmp_path))) == LARGE


async def _small(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def _reset_while_idle() -> None:
    listener = _listener()
    async with server._listening(_small, [listener], None) as listening:
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await reader.readuntil(b"ok")
        connections = listening._server.server_state.connections
        (connection,) = connections
        assert connection.timeout_keep_alive_task is not None
        # Closing without lingering is what makes it a reset.
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        async with asyncio.timeout(5):
            while connections:
                await server._turn()
        assert connection.timeout_keep_alive_task is None


def test_connection_that_is_reset_keeps_no_timer_and_so_no_memory():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_reset_while_idle())
