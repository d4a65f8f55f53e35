"""Network faults: what a program on the machine meets, that it is undone, that `control` is left alone."""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from arcbed.harness import Bed
from arcbed.harness.checks import exited
from arcbed.harness.containers.tools import Tools
from arcbed.harness.errors import BedError
from arcbed.harness.places import DOCKER

pytestmark = [pytest.mark.containers, pytest.mark.timeout(180), pytest.mark.asyncio(loop_scope="module")]
ARM = "management.azure.com"
PROBE = """
import json, socket, ssl, sys, time
host, address, limit = sys.argv[1], sys.argv[2], float(sys.argv[3])
began, error = time.monotonic(), ""
try:
    where = address or socket.getaddrinfo(host, 443)[0][4][0]
    line = socket.create_connection((where, 443), timeout=limit)
    ssl.create_default_context().wrap_socket(line, server_hostname=host).close()
except OSError as failure:
    error = type(failure).__name__ + ": " + str(failure)
print(json.dumps([error, time.monotonic() - began]))
"""


class Probes:
    """A machine and what its programs meet."""

    def __init__(self, machine, around):
        self.machine = machine
        self.around = around

    async def tls(self, host=ARM, *, address="", limit=3.0):
        """The error of a TLS handshake with `host`, empty when there was none, and the seconds it took."""
        done = await self.machine.command("python3", "-c", PROBE, host, address, str(limit))
        exited(done, 0)
        error, seconds = json.loads(done.stdout)
        return error, seconds

    async def control(self):
        """What the admin API on the control network says of itself."""
        url = f"http://{self.around.control.subnet[2]}:8444/_fakecloud/ready"
        asked = await self.machine.command("curl", "-sS", "-m", "3", "-H", "Host: localhost", url)
        return asked.output

    def traces(self):
        """Routes, rules and filters of the machine, without counters and without interfaces' numbers."""
        tools = self.machine.host.network._tools
        said = tools.script(["ip route show table all", "ip rule", "iptables-save | grep ^-A"])
        return sorted(re.sub(r"\beth\d+", "eth", said).splitlines())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge():
    """One machine for all: that every fault is undone is what is tested."""
    async with Bed(place=DOCKER) as bed:
        machine = await bed.machine("edge-01")
        yield Probes(machine, machine.host._around)


@pytest_asyncio.fixture(loop_scope="module")
async def probes(edge):
    assert (await edge.tls())[0] == ""
    return edge


@pytest.mark.parametrize(
    ("kind", "error", "fastest", "slowest"),
    [
        ("unreachable", "No route to host", 0.0, 2.5),
        ("drop", "timed out", 2.9, 6.0),
        ("leave", "timed out", 2.9, 6.0),
        ("dns", "gaierror", 0.0, 2.5),
    ],
)
async def test_a_cut_fails_as_it_should_leaves_control_alone_and_is_undone(
    probes, kind, error, fastest, slowest
):
    before = probes.traces()
    async with probes.machine.cut_off(kind):
        found, seconds = await probes.tls()
        assert error in found
        assert fastest <= seconds <= slowest
        assert "ready" in await probes.control()
        known = await probes.tls(address=probes.around.cloud)
        assert (known[0] == "") is (kind == "dns")
    assert (await probes.tls())[0] == ""
    assert probes.traces() == before


async def test_a_cut_is_undone_when_the_block_fails(probes):
    before = probes.traces()
    for kind in ("unreachable", "drop", "leave", "dns"):
        with pytest.raises(RuntimeError, match="the story failed"):
            async with probes.machine.cut_off(kind):
                raise RuntimeError("the story failed")
    assert (await probes.tls())[0] == ""
    assert probes.traces() == before


async def test_a_change_that_gets_stuck_half_way_is_undone(probes, monkeypatch):
    before = probes.traces()
    network = probes.machine.host.network
    monkeypatch.setattr(type(network), "_close_all", "false")
    with pytest.raises(BedError):
        async with network.cut_off("unreachable"):
            raise AssertionError("must not run")
    assert probes.traces() == before


async def test_one_host_is_blocked_and_its_neighbours_are_not(probes):
    async with probes.machine.blocked(ARM):
        error, seconds = await probes.tls(ARM)
        assert "Connection reset" in error
        assert seconds < 2.5
        assert (await probes.tls("westeurope.management.azure.com"))[0] == ""
        assert (await probes.tls("login.microsoftonline.com"))[0] == ""
    assert (await probes.tls(ARM))[0] == ""


async def test_everything_below_a_name_is_blocked_and_the_handshake_swallowed(probes):
    async with probes.machine.blocked("*.his.arc.azure.com", how="drop"):
        assert "timed out" in (await probes.tls("weu.his.arc.azure.com"))[0]
        assert "timed out" in (await probes.tls("gbl.his.arc.azure.com"))[0]
        assert (await probes.tls(ARM))[0] == ""


async def test_latency_is_paid_for_every_round_trip(probes):
    before = probes.traces()
    assert (await probes.tls())[1] < 1.0
    async with probes.machine.latency(1000):
        error, slow = await probes.tls(limit=30)
    assert error == ""
    # One of its own for TLS 1.3; that of TCP ends at the forwarder. Both ends of the range are whole
    # delays: what the handshake itself takes differs by machine and moment.
    assert 1.0 <= slow < 2.0
    assert probes.traces() == before
    left = await probes.machine.command("ss", "-ltnH")
    assert all(":40342 " in line or "127.0.0.11" in line for line in left.stdout.splitlines()), left.stdout


async def test_lost_packets_are_lost_and_found_again(probes):
    async with probes.machine.loss(100):
        assert "timed out" in (await probes.tls())[0]
    async with probes.machine.loss(20):
        rules = probes.traces()
        assert sum("--mode random" in rule for rule in rules) == 2
        assert (await probes.tls(limit=30))[0] == ""
    assert (await probes.tls())[0] == ""


async def test_only_tcp_443_gets_through(probes):
    async with probes.machine.https_only():
        assert (await probes.tls())[0] == ""
        address = probes.around.cloud
        ping = await probes.machine.command("ping", "-c", "1", "-W", "2", address)
        assert ping.exit_code == 1
        other = await probes.machine.command(
            "bash", "-c", f"timeout 2 bash -c 'exec 3<>/dev/tcp/{address}/80'"
        )
        assert other.exit_code == 124
        assert "ready" in await probes.control()
    assert (await probes.machine.command("ping", "-c", "1", "-W", "2", probes.around.cloud)).exit_code == 0


async def test_faults_can_be_had_together_and_after_a_restart_of_the_machine(probes):
    machine = probes.machine
    async with AsyncExitStack() as faults:
        await faults.enter_async_context(machine.latency(20))
        await faults.enter_async_context(machine.blocked("pas.windows.net"))
        # The reset ends at the forwarder, which can only hang up.
        assert (await probes.tls("pas.windows.net"))[0] != ""
        assert (await probes.tls())[0] == ""
    container = machine.host._engine.container(machine.host.container)
    container.restart(timeout=5)
    await machine.start()
    async with machine.cut_off():
        assert "No route to host" in (await probes.tls())[0]
    assert (await probes.tls())[0] == ""


async def test_the_helper_may_administer_the_network_and_nothing_else(probes):
    probes.traces()
    tools: Tools = probes.machine.host.network._tools
    host = probes.machine.host._engine.container(tools._name).attrs["HostConfig"]
    assert host["CapAdd"] == ["NET_ADMIN"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["Privileged"]
    machine = probes.machine.host._engine.container(probes.machine.host.container).attrs["HostConfig"]
    assert not machine["CapAdd"]
    assert not machine["Privileged"]
