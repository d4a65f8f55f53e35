"""azcmagent, himds and the control plane as processes: connecting, refusals, disconnecting."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from arcbed_agent.host.layout import Layout

GROUP = "rg-azcmagent"


@dataclass
class Machine:
    """A folder with an agent in it."""

    root: Path
    cloud: Any
    himds: subprocess.Popen[str] | None = None

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "arcbed_agent.cli", *words],
            capture_output=True,
            text=True,
            env={**os.environ, "ARC_ROOT": str(self.root)},
            check=False,
        )

    def start(self) -> None:
        layout = Layout(self.root)
        layout["local_config"].parent.mkdir(parents=True, exist_ok=True)
        values = {"endpoints.arm": self.cloud.url, "tls.caBundle": self.cloud.ca, "himds.port": 0}
        layout["local_config"].write_text(json.dumps(values))
        self.himds = subprocess.Popen(
            [sys.executable, "-m", "arcbed_agent.himds"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "ARC_ROOT": str(self.root)},
        )
        assert self.himds.stdout is not None
        for line in self.himds.stdout:
            if "ready" in line:
                return
        raise AssertionError("himds did not start")

    def stop(self) -> None:
        if self.himds:
            self.himds.terminate()
            self.himds.wait(20)
            if self.himds.stdout:
                self.himds.stdout.close()

    def connect(self, *more: str, name: str, secret: str | None = None) -> subprocess.CompletedProcess[str]:
        onboarding = self.cloud.env["onboarding"]
        flags = {
            "subscription-id": self.cloud.env["subscriptionId"],
            "tenant-id": self.cloud.env["tenantId"],
            "resource-group": GROUP,
            "location": "West Europe",
            "resource-name": name,
            "service-principal-id": onboarding["clientId"],
            "service-principal-secret": secret or onboarding["clientSecret"],
        }
        words = [word for flag, value in flags.items() for word in (f"--{flag}", value)]
        return self.run("connect", *words, *more)


@pytest.fixture(scope="module")
def arm(running_cloud):
    """ARM as its owner sees it, with the group and the providers that onboarding needs."""
    env = running_cloud.env
    with httpx.Client(verify=ssl.create_default_context(cafile=env["caFile"])) as client:
        form = {
            "grant_type": "client_credentials",
            "client_id": env["owner"]["clientId"],
            "client_secret": env["owner"]["clientSecret"],
            "scope": "https://management.azure.com/.default",
        }
        token = client.post(f"{env['authority']}/{env['tenantId']}/oauth2/v2.0/token", data=form).json()
        client.headers["Authorization"] = f"Bearer {token['access_token']}"
        client.base_url = f"{env['armEndpoint']}/subscriptions/{env['subscriptionId']}"
        version = {"api-version": "2021-04-01"}
        for namespace in (
            "Microsoft.HybridCompute",
            "Microsoft.GuestConfiguration",
            "Microsoft.HybridConnectivity",
        ):
            client.post(f"/providers/{namespace}/register", params=version).raise_for_status()
        client.put(
            f"/resourceGroups/{GROUP}", params=version, json={"location": "westeurope"}
        ).raise_for_status()
        yield client


@pytest.fixture(scope="module")
def idle(running_cloud, tmp_path_factory, arm):
    """A machine for tests that never connect it."""
    machine = Machine(tmp_path_factory.mktemp("idle"), running_cloud)
    machine.start()
    yield machine
    machine.stop()


@pytest.fixture
def machine(running_cloud, tmp_path, arm):
    machine = Machine(tmp_path / "root", running_cloud)
    machine.root.mkdir()
    machine.start()
    yield machine
    machine.stop()


def machine_in_arm(arm, name):
    path = f"/resourceGroups/{GROUP}/providers/Microsoft.HybridCompute/machines/{name}"
    return arm.get(path, params={"api-version": "2024-07-10"})


def test_machine_connects_is_refused_twice_and_disconnects(machine, arm):
    finished = machine.connect("--tags", "City=Rome,Owner='Ops team'", name="whole-life")
    assert finished.returncode == 0, finished.stdout
    assert "Connected machine to Azure" in finished.stdout
    shown = json.loads(machine.run("show", "-j").stdout)
    document = machine_in_arm(arm, "whole-life").json()
    assert shown["status"] == document["properties"]["status"] == "Connected"
    assert shown["vmId"] == document["properties"]["vmId"]
    assert document["tags"] == {"City": "Rome", "Owner": "Ops team"}
    assert document["location"] == "westeurope"
    assert (
        document["properties"]["osSku"]
        == json.loads(machine.run("show", "--os", "osSku", "-j").stdout)["osSku"]
    )

    again = machine.connect(name="other")
    assert again.returncode == 67
    assert shown["resourceId"] in again.stdout

    onboarding = machine.cloud.env["onboarding"]
    words = [
        "-t",
        machine.cloud.env["tenantId"],
        "-i",
        onboarding["clientId"],
        "-p",
        onboarding["clientSecret"],
    ]
    refused = machine.run("disconnect", *words)
    assert refused.returncode == 43
    assert "AuthorizationFailed" in refused.stdout
    assert machine_in_arm(arm, "whole-life").status_code == 200
    assert json.loads(machine.run("show", "status", "-j").stdout) == {"status": "Connected"}

    owner_token = arm.headers["Authorization"].removeprefix("Bearer ")
    assert machine.run("disconnect", "--access-token", owner_token).returncode == 0
    assert machine_in_arm(arm, "whole-life").status_code == 404
    assert json.loads(machine.run("show", "-j").stdout)["resourceId"] == ""

    log = Layout(machine.root)["cli_log"].read_text()
    assert onboarding["clientSecret"] not in log
    assert owner_token not in log


def test_principal_with_a_certificate_connects_by_subscription_name(machine, arm):
    onboarding = machine.cloud.env["onboarding"]
    words = [
        "-t",
        machine.cloud.env["tenantId"],
        "-i",
        onboarding["clientId"],
        "-g",
        GROUP,
        "-l",
        "westeurope",
    ]
    name = arm.get(f"{machine.cloud.url}/subscriptions", params={"api-version": "2022-12-01"}).json()[
        "value"
    ][0]
    finished = machine.run(
        "connect", *words, "-s", name["displayName"].upper(), "-n", "by-certificate", "--json",
        "--service-principal-cert", onboarding["certificateFile"],
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout
    answer = json.loads(finished.stdout)
    assert answer["status"] == "success"
    assert answer["portalUrl"].endswith("/machines/by-certificate/overview")


def test_name_of_another_machine_is_44(machine, arm, tmp_path):
    other = Machine(tmp_path / "other", machine.cloud)
    other.root.mkdir()
    other.start()
    try:
        assert other.connect(name="taken").returncode == 0
        finished = machine.connect(name="taken")
    finally:
        other.stop()
    assert finished.returncode == 44
    assert "AZCM0044: Resource Already Exists" in finished.stdout


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["-l", "mars"], 20, "mars"),
        (["-s", "No such subscription"], 68, "No such subscription"),
        (["-i", "00000000-0000-4000-8000-000000000000"], 41, "AADSTS700016"),
        (["-p", "wrong"], 41, "AADSTS7000215"),
        (["-s", "00000000-0000-4000-8000-000000000000"], 42, ""),
    ],
)
def test_connect_that_azure_refuses_says_why(idle, more, code, said):
    finished = idle.connect(*more, name="refused")
    assert finished.returncode == code, finished.stdout
    assert said in finished.stdout
    assert re.search(rf"^ERROR   Exit Code: AZCM{code:04d}: ", finished.stdout, re.MULTILINE)


def test_connect_without_the_cloud_is_26_and_names_it(machine):
    # A port that refuses: the fixture's cloud stays up for other tests.
    assert machine.run("config", "set", "endpoints.arm", "https://127.0.0.1:9").returncode == 0
    finished = machine.connect(name="unreachable")
    assert finished.returncode == 26
    assert "https://127.0.0.1:9" in finished.stdout


def test_check_lists_the_endpoints_of_the_bed_and_no_others(idle):
    finished = idle.run("check", "--location", "westeurope", "--json")
    assert finished.returncode == 0, finished.stdout
    checked = json.loads(finished.stdout)
    assert all(url.startswith(idle.cloud.url) for url in checked)
    assert all(found["reachable"] and found["tls"].startswith("TLS 1.") for found in checked.values())


def test_device_code_is_signed_in_from_a_browser(machine, arm):
    words = [
        "connect",
        "-s",
        machine.cloud.env["subscriptionId"],
        "-g",
        GROUP,
        "-l",
        "westeurope",
        "-n",
        "by-person",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "arcbed_agent.cli", *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "ARC_ROOT": str(machine.root)},
    )
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if match := re.search(r"open the page (\S+) and enter the code (\w+)", line):
            page = arm.get(match[1]).text
            user = re.search(r'name="user" value="([^"]+)"', page)
            assert user is not None
            arm.post(
                match[1], data={"code": match[2], "user": user[1], "answer": "approve"}
            ).raise_for_status()
    process.stdout.close()
    assert process.wait(60) == 0, printed
    assert machine_in_arm(arm, "by-person").json()["properties"]["status"] == "Connected"
