"""kill -9 of gcad at every point of download, publication, evaluation and report, on a real cloud.

Whatever the point: after the next start there is one report, and no folder that is half of a package.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from arcbed.harness.admin import Admin
from arcbed.harness.policies import file_package
from arcbed_agent.config import LocalConfig
from arcbed_agent.himds.client import ConnectParameters, HimdsClient
from arcbed_agent.himds.peers import Peers
from arcbed_agent.host.layout import Layout

#: From the start of the process to the report's last trace. When a change moves this number, look at the list
#: that the failing test prints, and see that no new window has opened.
POINTS = 45
#: The same where the package is there already and is published once more.
POINTS_AGAIN = 46
#: The quick run takes these parts of the list, the long one all of it.
SAMPLE = (0.35, 0.58, 0.78, 0.95)
KILLER = Path(__file__).parent / "killer"
GROUP = "kill-gcad"
VERSION = {"api-version": "2024-04-05"}
NAME = "KillPolicy"


@dataclass
class Machine:
    """One onboarded machine whose gcad is started and killed at will."""

    root: Path
    cloud: object
    client: httpx.Client
    himds: subprocess.Popen[str] | None = None
    gcad: subprocess.Popen[str] | None = None
    content: bytes = b""
    uri: str = ""

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @property
    def env(self):
        return self.cloud.env

    def start(self, module: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", module],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "ARC_ROOT": str(self.root), **more},
        )

    def onboard(self) -> None:
        config = LocalConfig()
        base = self.env["armEndpoint"]
        values = {
            "endpoints.arm": base,
            "endpoints.login": base,
            "endpoints.his": f"{base}/his",
            "endpoints.gas": f"{base}/gas",
            "tls.caBundle": self.env["caFile"],
            "himds.port": 0,
        }
        for name, value in values.items():
            config = config.with_value(name, value)
        config.save(self.layout)
        self.himds = self.start("arcbed_agent.himds")
        assert "ready" in self.himds.stdout.readline()
        HimdsClient(self.layout).connect(
            ConnectParameters(
                subscription_id=self.env["subscriptionId"],
                resource_group=GROUP,
                resource_name="web-01",
                location="westeurope",
                tenant_id=self.env["tenantId"],
                access_token=self.client.headers["Authorization"].removeprefix("Bearer "),
                correlation_id="55555555-5555-4555-8555-555555555555",
            )
        )

    @property
    def assignment(self) -> str:
        return (
            f"/subscriptions/{self.env['subscriptionId']}/resourceGroups/{GROUP}/providers"
            "/Microsoft.HybridCompute/machines/web-01/providers/Microsoft.GuestConfiguration"
            f"/guestConfigurationAssignments/{NAME}"
        )

    def prepare(self, *, again: bool) -> None:
        """A fresh assignment on a machine that knows of none, or a second PUT of a reported one."""
        self.client.delete(self.assignment, params=VERSION)
        shutil.rmtree(self.layout["guest_config"], ignore_errors=True)
        (self.root / "points").unlink(missing_ok=True)
        self.put()
        if again:
            self.run(None)
            try:
                self.wait_for("the first report", self.settled)
            finally:
                self.stop()
            self.put()

    def put(self) -> None:
        guest = {
            "name": NAME,
            "version": "1.0.0",
            "assignmentType": "ApplyAndAutoCorrect",
            "contentUri": self.uri,
            "contentHash": hashlib.sha256(self.content).hexdigest().upper(),
        }
        body = {"location": "westeurope", "properties": {"guestConfiguration": guest}}
        self.client.put(self.assignment, params=VERSION, json=body).raise_for_status()

    def run(self, kill_at: int | None) -> None:
        # A machine may pull once in ten seconds of the cloud's time, and starts more often than that here.
        asyncio.run(Admin(self.cloud.state).call("POST", "clock/advance", {"seconds": 11}))
        more = {}
        if kill_at is not None:
            more = {
                "PYTHONPATH": str(KILLER), "KILL_LOG": str(self.root / "points"), "KILL_AT": str(kill_at)
            }  # fmt: skip
        self.gcad = self.start("arcbed_agent.gcad", **more)
        if "ready" in self.gcad.stdout.readline():
            asyncio.run(Peers(self.layout, logging.getLogger("test"))("pull"))

    def stop(self) -> None:
        if self.gcad is not None:
            self.gcad.terminate()
            self.gcad.wait(20)
            self.gcad.stdout.close()
            self.gcad = None

    def reports(self) -> list[dict[str, object]]:
        answer = self.client.get(f"{self.assignment}/reports", params=VERSION).raise_for_status()
        return [item["properties"] for item in answer.json()["value"]]

    def wait_for(self, what: str, holds) -> None:
        until = time.monotonic() + 30  # noqa: TID251 - a real process is waited for
        while not holds():
            assert time.monotonic() < until, what  # noqa: TID251
            time.sleep(0.05)  # noqa: TID251

    def settled(self) -> bool:
        """ARM knows the result of the newest PUT, and the report is off the disk."""
        path = self.layout["assignments"] / f"{NAME}.json"
        found = self.client.get(self.assignment, params=VERSION).raise_for_status().json()
        known = found["properties"]["complianceStatus"] == "Compliant"
        return known and path.exists() and '"report":null' in path.read_text()

    def check_folders(self) -> None:
        """A folder is there as a whole or not at all."""
        folders = self.layout["configurations"]
        for path in folders.iterdir() if folders.exists() else []:
            if not path.name.startswith("."):
                assert sorted(item.name for item in path.iterdir()) == [
                    f"{NAME}.metaconfig.json",
                    f"{NAME}.mof",
                ]

    def points(self) -> list[str]:
        path = self.root / "points"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture(scope="module")
def cloud(start_cloud, tmp_path_factory):
    """One of its own, since its clock is moved."""
    cloud = start_cloud(tmp_path_factory.mktemp("kill-gcad-cloud") / "state")
    yield cloud
    cloud.stop()


@pytest.fixture(scope="module")
def machine(cloud, tmp_path_factory):
    env = cloud.env
    client = httpx.Client(base_url=env["armEndpoint"], verify=cloud.tls, trust_env=False, timeout=30)
    answer = client.post(
        f"/{env['tenantId']}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": env["owner"]["clientId"],
            "client_secret": env["owner"]["clientSecret"],
            "scope": "https://management.azure.com/.default",
        },
    )
    client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
    for namespace in ("HybridCompute", "GuestConfiguration", "HybridConnectivity"):
        path = f"/subscriptions/{env['subscriptionId']}/providers/Microsoft.{namespace}/register"
        client.post(path, params={"api-version": "2021-04-01"}).raise_for_status()
    made = Machine(tmp_path_factory.mktemp("kill-gcad") / "m", cloud, client)
    made.onboard()
    made.content = file_package(NAME, str(made.root / "target"), "wanted")
    made.uri = uploaded(cloud, made.content)
    yield made
    made.stop()
    made.himds.terminate()
    made.himds.wait(10)
    made.himds.stdout.close()
    client.close()


def uploaded(cloud, content: bytes) -> str:
    path = f"blobs/killpolicies/packages/{NAME}.zip?hours=24"
    return asyncio.run(Admin(cloud.state).call("PUT", path, content=content))["url"]


def kill_at(machine: Machine, point: int, *, again: bool) -> None:
    try:
        killed_at(machine, point, again=again)
    finally:
        machine.stop()


def killed_at(machine: Machine, point: int, *, again: bool) -> None:
    machine.prepare(again=again)
    machine.run(point)
    machine.gcad.wait(30)
    machine.gcad.stdout.close()
    assert machine.gcad.returncode == -signal.SIGKILL
    assert len(machine.points()) == point
    where = f"{point} {machine.points()[-1]}"
    machine.check_folders()
    machine.run(None)
    machine.wait_for(f"a report after a kill at {where}", machine.settled)
    machine.stop()
    machine.check_folders()
    found = machine.reports()
    assert len(found) == (2 if again else 1), where
    assert found[0]["complianceStatus"] == "Compliant", where
    assert (machine.root / "target").read_text() == "wanted"
    assert not [path for path in machine.layout["configurations"].iterdir() if path.name.startswith(".")]
    assert not list(machine.layout["guest_config"].rglob(".*.new"))


@pytest.mark.parametrize(("again", "total"), [(False, POINTS), (True, POINTS_AGAIN)])
def test_the_points_from_pull_to_report_are_known(machine, again, total):
    machine.prepare(again=again)
    machine.run(0)
    try:
        machine.wait_for("a report", machine.settled)
        points = machine.points()
    finally:
        machine.stop()
    last = max(index for index, name in enumerate(points) if name == f"replace {NAME}.json") + 1
    assert last == total, "\n".join(points[:last])


@pytest.mark.parametrize("part", SAMPLE)
def test_killed_on_the_way_there_is_one_report_and_no_half_package(machine, part):
    kill_at(machine, max(1, round(part * POINTS)), again=False)


@pytest.mark.parametrize("part", (0.61, 0.72))
def test_killed_while_a_package_is_replaced_there_is_one_more_report(machine, part):
    kill_at(machine, round(part * POINTS_AGAIN), again=True)


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_killed_at_every_point_there_is_one_report_and_no_half_package(machine):
    for point in range(1, POINTS + 1):
        kill_at(machine, point, again=False)


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_killed_at_every_point_of_a_replacement_there_is_one_more_report(machine):
    for point in range(1, POINTS_AGAIN + 1):
        kill_at(machine, point, again=True)
