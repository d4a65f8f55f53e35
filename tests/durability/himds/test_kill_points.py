"""kill -9 of himds at every point of `connect` and of `disconnect` that could matter, on a real cloud."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from arcbed_agent.cloud.arm import NAMESPACES
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.client import ConnectParameters, HimdsClient, Status
from arcbed_agent.himds.keys import MachineKey
from arcbed_agent.host.layout import Layout

#: How many points there are, from the start of the process on. When a change moves these numbers, look at
#: the list that the failing test prints, and see that no new window has opened.
CONNECT_POINTS = 63
DISCONNECT_POINTS = 27
#: The quick run takes these parts of the list, the long one all of it.
SAMPLE = (0.12, 0.45, 0.62, 0.74, 0.86, 1.0)
KILLER = Path(__file__).parent / "killer"


class Azure:
    """The control plane as its owner sees it."""

    def __init__(self, env: dict[str, Any]) -> None:
        self.env = env
        trust = ssl.create_default_context(cafile=env["caFile"])
        self.client = httpx.Client(verify=trust, trust_env=False, timeout=30)
        owner = env["owner"]
        answer = self.client.post(
            f"{env['authority']}/{env['tenantId']}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": owner["clientId"],
                "client_secret": owner["clientSecret"],
                "scope": "https://management.azure.com/.default",
            },
        )
        self.token = answer.raise_for_status().json()["access_token"]

    def register(self, namespace: str) -> None:
        self.client.post(
            f"{self.env['armEndpoint']}/subscriptions/{self.env['subscriptionId']}/providers/{namespace}/register",
            params={"api-version": "2021-04-01"},
            headers={"Authorization": f"Bearer {self.token}"},
        ).raise_for_status()

    def machines(self, group: str) -> list[dict[str, Any]]:
        answer = self.client.get(
            f"{self.env['armEndpoint']}/subscriptions/{self.env['subscriptionId']}/resourceGroups/{group}"
            "/providers/Microsoft.HybridCompute/machines",
            params={"api-version": "2024-07-10"},
            headers={"Authorization": f"Bearer {self.token}"},
        )
        return [] if answer.status_code == 404 else answer.raise_for_status().json()["value"]


@dataclass
class Machine:
    """One machine's folder, with himds started and killed at will."""

    root: Path
    azure: Azure
    group: str
    process: subprocess.Popen[str] | None = None

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @property
    def himds(self) -> HimdsClient:
        return HimdsClient(self.layout)

    def configure(self) -> None:
        env = self.azure.env
        config = LocalConfig()
        values = {"endpoints.arm": env["armEndpoint"], "tls.caBundle": env["caFile"], "himds.port": 0}
        for name, value in values.items():
            config = config.with_value(name, value)
        config.save(self.layout)

    def start(self, kill_at: int | None = None) -> bool:
        """True once it serves; False if it was killed on the way."""
        environment = {**os.environ, "ARC_ROOT": str(self.root)}
        if kill_at is not None:
            environment |= {
                "PYTHONPATH": str(KILLER), "KILL_LOG": str(self.root / "points"), "KILL_AT": str(kill_at)
            }  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "arcbed_agent.himds"], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout is not None
        return "ready" in self.process.stdout.readline()

    def stop(self) -> None:
        if self.process is None:
            return
        assert self.process.stdout is not None
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()
        self.process = None

    def points(self) -> list[str]:
        path = self.root / "points"
        return path.read_text().splitlines() if path.exists() else []

    def connect(self) -> Status:
        env = self.azure.env
        return self.himds.connect(
            ConnectParameters(
                subscription_id=env["subscriptionId"],
                resource_group=self.group,
                resource_name="web-01",
                location="westeurope",
                tenant_id=env["tenantId"],
                access_token=self.azure.token,
                correlation_id="55555555-5555-4555-8555-555555555555",
            )
        )

    def connect_again(self) -> Status:
        """As a person would: rerun, and be content if it has been done meanwhile."""
        try:
            return self.connect()
        except AgentError as error:
            assert error.number == 67, error
            return self.himds.status()

    def known_vm_ids(self) -> set[str]:
        """Those that Azure or the machine's disk know."""
        found = {item["properties"]["vmId"] for item in self.azure.machines(self.group)}
        for path, member in ((self.layout["registration"], "vm_id"), (self.layout["agent_config"], "vmId")):
            if path.exists():
                found.add(json.loads(path.read_text()).get(member))
        return found - {None}


@pytest.fixture(scope="module")
def azure(running_cloud):
    made = Azure(running_cloud.env)
    for namespace in NAMESPACES:
        made.register(namespace)
    yield made
    made.client.close()


def count(machine: Machine, work) -> list[str]:
    """The points of `work`, without a kill."""
    assert machine.start(kill_at=0)
    work()
    points = machine.points()
    machine.stop()
    return points


def prove_connected(machine: Machine, status: Status, vm_ids: set[str]) -> None:
    assert status.status == "Connected"
    (document,) = machine.azure.machines(machine.group)
    assert document["properties"]["vmId"] == status.vm_id
    assert document["properties"]["status"] == "Connected"
    assert document["properties"]["provisioningState"] == "Succeeded"
    assert vm_ids <= {status.vm_id}
    key = MachineKey.from_pem(machine.layout["machine_key"].read_bytes())
    assert document["properties"]["clientPublicKey"] == key.public_text
    assert not machine.layout["registration"].exists()
    assert not list(machine.layout["home"].rglob(".*.new"))


def killed_connect(machine: Machine, point: int) -> None:
    if machine.start(kill_at=point):
        with pytest.raises(AgentError):
            machine.connect()
    machine.stop()
    assert len(machine.points()) == point
    vm_ids = machine.known_vm_ids()
    assert machine.start()
    status = machine.connect_again()
    machine.stop()
    prove_connected(machine, status, vm_ids)
    assert machine.start()
    assert machine.himds.status().vm_id == status.vm_id


def killed_disconnect(machine: Machine, point: int) -> None:
    assert machine.start()
    machine.connect()
    machine.stop()
    if machine.start(kill_at=point):
        with pytest.raises(AgentError):
            machine.himds.disconnect(machine.azure.token)
    machine.stop()
    assert len(machine.points()) == point
    assert machine.start()
    status = machine.himds.disconnect(machine.azure.token)
    assert (status.status, status.resource_id) == ("Disconnected", "")
    assert machine.azure.machines(machine.group) == []
    assert not list(machine.layout["certificates"].iterdir())
    assert machine.connect().status == "Connected"


def run_all(work, azure: Azure, folder: Path, points: list[int]) -> None:
    def one(point: int) -> None:
        machine = Machine(folder / f"m{point}", azure, f"{folder.name}-{point}")
        machine.configure()
        try:
            work(machine, point)
        finally:
            machine.stop()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(one, point) for point in points]:
            done.result()


def sample(total: int) -> list[int]:
    return sorted({max(1, round(part * total)) for part in SAMPLE})


def test_the_points_of_connect_are_known(azure, tmp_path):
    machine = Machine(tmp_path / "m", azure, "kill-count-connect")
    machine.configure()
    points = count(machine, machine.connect)
    assert len(points) == CONNECT_POINTS, "\n".join(points)
    assert "before PUT web-01" in points
    assert "fsync private.pem" in points


def test_the_points_of_disconnect_are_known(azure, tmp_path):
    machine = Machine(tmp_path / "m", azure, "kill-count-disconnect")
    machine.configure()
    assert machine.start()
    machine.connect()
    machine.stop()
    points = count(machine, lambda: machine.himds.disconnect(azure.token))
    assert len(points) == DISCONNECT_POINTS, "\n".join(points)
    assert "after DELETE web-01" in points


def test_killed_in_connect_then_connected_again_it_is_one_machine_with_one_vm_id(azure, tmp_path):
    run_all(killed_connect, azure, tmp_path, sample(CONNECT_POINTS))


def test_killed_in_disconnect_then_disconnected_again_nothing_is_left(azure, tmp_path):
    run_all(killed_disconnect, azure, tmp_path, sample(DISCONNECT_POINTS)[::3])


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_at_every_point_of_connect_it_is_one_machine_with_one_vm_id(azure, tmp_path):
    run_all(killed_connect, azure, tmp_path, list(range(1, CONNECT_POINTS + 1)))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_at_every_point_of_disconnect_nothing_is_left(azure, tmp_path):
    run_all(killed_disconnect, azure, tmp_path, list(range(1, DISCONNECT_POINTS + 1)))
