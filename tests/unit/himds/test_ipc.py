"""The Unix socket: azcmagent's client against a himds in the same process, and callers that misbehave."""

from __future__ import annotations

import asyncio
import json
import os
import socket

import pytest

from arcbed_agent.errors import AgentError
from arcbed_agent.himds.client import HimdsClient
from arcbed_agent.himds.messages import dial
from arcbed_agent.host.layout import Layout


@pytest.fixture
async def himds(bed):
    async with bed.running() as running:
        yield running


async def test_status_tells_where_the_local_endpoint_listens(bed, himds):
    status = await asyncio.to_thread(HimdsClient(bed.layout).status)
    assert (status.port, status.pid) == (himds.server.port, os.getpid())
    assert (status.status, status.registration) == ("Disconnected", "none")


async def test_connect_streams_progress_and_answers_the_status(bed, himds):
    seen = []
    work = asyncio.to_thread(HimdsClient(bed.layout).connect, bed.wanted(), seen.append)
    status = await bed.settle(work)
    assert status.status == "Connected"
    assert [item.percent for item in seen] == [30, 60, 80, 100]


async def test_errors_keep_number_message_and_advice(bed, himds, refusal):
    bed.azure.script("PUT", "/machines/", refusal(400, "ReservedResourceName", "taken by Microsoft"))
    with pytest.raises(AgentError, match="taken by Microsoft") as caught:
        await bed.settle(asyncio.to_thread(HimdsClient(bed.layout).connect, bed.wanted()))
    assert caught.value.number == 42


async def test_disconnect_over_the_socket(bed, himds):
    client = HimdsClient(bed.layout)
    await bed.settle(asyncio.to_thread(client.connect, bed.wanted()))
    status = await bed.settle(asyncio.to_thread(lambda: client.disconnect("person")))
    assert status.registration == "none"
    assert not bed.azure.machines


async def test_reload_with_a_broken_file_keeps_the_old_configuration(bed, himds):
    bed.layout["local_config"].write_text('{"himds.port": "many"}')
    with pytest.raises(AgentError) as caught:
        await asyncio.to_thread(HimdsClient(bed.layout).reload)
    assert caught.value.number == 23
    assert himds.uplink.config.text("endpoints.arm") == "https://arm.test"


async def test_nobody_there_is_61(bed):
    with pytest.raises(AgentError, match="cannot reach himds") as caught:
        await asyncio.to_thread(HimdsClient(bed.layout).status)
    assert caught.value.number == 61


async def test_a_silent_himds_is_64(bed):
    folder = bed.layout["sockets"]
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(bed.layout["himds_socket"]))
        silent.listen()
        with pytest.raises(AgentError) as caught:
            await asyncio.to_thread(HimdsClient(bed.layout, timeout=0.05).status)
    assert caught.value.number == 64


async def test_a_caller_that_goes_away_cancels_what_it_asked_for(bed, himds, refusal):
    bed.azure.always["POST", "/identity"] = lambda: refusal(403, "IdentityNotReady")

    def ask_and_leave() -> None:
        with dial(bed.layout["himds_socket"], 5) as line:
            request = {"method": "connect", "parameters": bed.wanted().to_json()}
            line.sendall(json.dumps(request).encode() + b"\n")
            while b"Retrieving certificate" not in line.recv(4096):
                pass

    await asyncio.to_thread(ask_and_leave)
    while himds.status().registration == "connecting":
        await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=0.005)
    assert bed.clock.running == []
    bed.azure.always.clear()
    assert (await bed.connect(himds)).status == "Connected"


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (b"nonsense\n", 2),
        (b"[]\n", 2),
        (b'{"method": 5}\n', 3),
        (b'{"method": "reboot"}\n', 3),
        (b'{"method": "status", "parameters": [1]}\n', 3),
        (b'{"method": "connect", "parameters": {"tags": {}}}\n', 2),
    ],
)
async def test_malformed_orders_are_answered_with_an_error(bed, himds, line, number):
    def ask() -> dict:
        with dial(bed.layout["himds_socket"], 5) as connection, connection.makefile("rwb") as stream:
            stream.write(line)
            stream.flush()
            return json.loads(stream.readline())

    assert (await asyncio.to_thread(ask))["error"]["number"] == number


async def test_an_endless_line_ends_the_connection_and_nothing_else(bed, himds):
    def ask() -> bytes:
        with dial(bed.layout["himds_socket"], 5) as connection:
            try:
                for _ in range(64):
                    connection.sendall(b"x" * 65_536)
                return connection.recv(10)
            except OSError:
                return b""

    assert await asyncio.to_thread(ask) == b""
    assert (await asyncio.to_thread(HimdsClient(bed.layout).status)).status == "Disconnected"


async def test_other_users_are_refused(bed, himds, monkeypatch, caplog):
    monkeypatch.setattr("arcbed_agent.himds.ipc.os.geteuid", lambda: 4242)
    monkeypatch.setattr("arcbed_agent.himds.ipc._CREDENTIALS", FakeCredentials())
    with pytest.raises(AgentError) as caught:
        await asyncio.to_thread(HimdsClient(bed.layout).status)
    assert caught.value.number == 64
    assert "user 1000 was refused" in caplog.text


async def test_a_himds_that_has_hung_up_before_it_is_asked_has_not_answered(bed, monkeypatch):
    ours, theirs = socket.socketpair()
    theirs.close()
    monkeypatch.setattr("arcbed_agent.himds.client.dial", lambda _path, _timeout: ours)
    with pytest.raises(AgentError) as caught:
        HimdsClient(bed.layout).status()
    assert caught.value.number == 64


class FakeCredentials:
    """The kernel's answer, were somebody else calling."""

    size = 12

    def unpack(self, _raw):
        return 1, 1000, 1000


async def test_a_second_himds_for_the_same_machine_does_not_start(bed, himds):
    second = bed.make()
    with pytest.raises(AgentError, match="another himds") as caught:
        await second.start()
    assert caught.value.number == 6
    assert (await asyncio.to_thread(HimdsClient(bed.layout).status)).status == "Disconnected"


async def test_a_taken_port_ends_the_start_with_6(bed):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        bed.configure(**{"himds.port": port})
        with pytest.raises(AgentError, match=f"port {port} is in use.*himds.port") as caught:
            await bed.make().start()
    assert caught.value.number == 6


async def test_stopping_with_connections_open_is_quiet(bed):
    """Programs keep their connections, and on Python 3.11 a cancelled one prints a traceback."""
    said = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: said.append(context))
    async with bed.running() as himds:
        _, ipc = await asyncio.open_unix_connection(str(bed.layout["himds_socket"]))
        answer, local = await asyncio.open_connection("127.0.0.1", himds.server.port)
        local.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await answer.readline()).startswith(b"HTTP/1.1 404")
    local.close()
    ipc.close()
    assert said == []


async def test_a_folder_deeper_than_socket_addresses_may_be_works(bed, tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    bed.root = deep
    bed.configure()
    async with bed.running():
        assert (await asyncio.to_thread(HimdsClient(Layout(deep)).status)).status == "Disconnected"
