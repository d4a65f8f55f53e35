"""The line of a machine that is a process: where names lead, and which are refused."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from arcbed.harness.errors import NotCoveredError
from arcbed.harness.process_network import ProcessNetwork, ProcessProxy

BLOB, ARM = "acme.blob.core.windows.net:443", "management.azure.com:443"


@pytest.fixture
async def cloud():
    """The port of a server that says who it is."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"the cloud")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
def line(tmp_path, cloud):
    """Makes lines that all names lead to the server by."""
    return lambda to=f"127.0.0.1:{cloud}": ProcessProxy("line", "forward", tmp_path / "line.log", to=to)


async def asked(proxy: ProcessProxy, target: str) -> str:
    """What a client of the proxy hears that wants to `target`."""
    parts = urlsplit(proxy.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
    heard = (await reader.read()).decode()
    writer.close()
    return heard


async def test_names_lead_to_the_control_plane_and_some_can_be_blocked(line):
    proxy = line()
    await proxy.start()
    try:
        assert (await asked(proxy, BLOB)).endswith("the cloud")
        async with ProcessNetwork(proxy, "no network").blocked("*.blob.core.windows.net", "reset"):
            assert (await asked(proxy, BLOB)).startswith("HTTP/1.1 403")
            assert (await asked(proxy, ARM)).endswith("the cloud")
        assert (await asked(proxy, BLOB)).endswith("the cloud")
        assert [entry.rpartition(" ")[2] for entry in proxy.requests()] == ["200", "403", "200", "200"]
    finally:
        await proxy.stop()


async def test_addresses_of_loopback_lead_where_they_say(line, cloud):
    proxy = line()
    await proxy.start()
    try:
        for host in ("localhost", "127.0.0.1"):
            assert (await asked(proxy, f"{host}:{cloud}")).endswith("the cloud")
        assert (await asked(proxy, "127.0.0.1:1")).startswith("HTTP/1.1 502")
        assert (await asked(proxy, "localhost:1")).startswith("HTTP/1.1 502")
    finally:
        await proxy.stop()


async def test_a_line_without_names_can_block_none(line):
    network = ProcessNetwork(line(""), "no network")
    with pytest.raises(NotCoveredError, match="no network"):
        async with network.blocked("*.blob.core.windows.net", "reset"):
            pass


async def test_packets_are_not_swallowed_by_a_proxy(line):
    with pytest.raises(NotCoveredError, match="no network"):
        async with ProcessNetwork(line(), "no network").blocked("management.azure.com", "drop"):
            pass
