"""What azcmagent prints, word for word.

``ARCBED_RECORD=1 pytest tests/contract/azcmagent`` records ``goldens/`` anew; read the difference.
"""

from __future__ import annotations

import io
import json
import os
import random
from pathlib import Path

import pytest

from arcbed_agent.cli import show
from arcbed_agent.cli.command import COMMANDS, Arguments
from arcbed_agent.cli.config import list as config_list
from arcbed_agent.cli.network import table
from arcbed_agent.cli.session import Session
from arcbed_agent.cli.terminal import Terminal
from arcbed_agent.cli.usage import command_usage, group_usage
from arcbed_agent.clock import SystemClock
from arcbed_agent.cloud.connectivity import Probe, Target
from arcbed_agent.himds.messages import Status
from arcbed_agent.host.contract import CloudProvider
from arcbed_agent.host.layout import Layout

GOLDENS = Path(__file__).parent / "goldens"
SUBSCRIPTION, TENANT = "0b7dd8a8-1d8b-4b38-9c5e-0f5f6f9d9a01", "a3b1c2d3-0000-4000-8000-000000000002"


def same_as_golden(name: str, text: str) -> None:
    path = GOLDENS / name
    if os.environ.get("ARCBED_RECORD"):
        path.write_text(text)
    assert text == path.read_text()


class TheHost:
    """A machine that is the same everywhere."""

    def __init__(self, cloud: CloudProvider) -> None:
        self._cloud = cloud

    def hostname(self):
        return "web-01"

    def metadata(self):
        return {
            "osName": "linux",
            "osType": "linux",
            "osVersion": "6.8.0-87-generic",
            "osSku": "Ubuntu 24.04.3 LTS",
            "osEdition": "unknown",
            "osProfile": {"computerName": "web-01"},
            "machineFqdn": "web-01",
            "dnsFqdn": "web-01",
            "adFqdn": "unknown",
            "domainName": "unknown",
            "vmUuid": "4c4c4544-0038-4410-8051-b4c04f565931",
            "detectedProperties": {
                "manufacturer": "HPE",
                "model": "ProLiant DL380 Gen10",
                "mssqldiscovered": "true",
                "mysqldiscovered": "false",
                "pgsqldiscovered": "false",
            },
        }

    def cloud(self):
        return self._cloud


class Daemon:
    def __init__(self, status: Status) -> None:
        self._status = status

    def status(self):
        return self._status


CONNECTED = Status(
    status="Connected",
    registration="connected",
    resource_name="web-01",
    resource_group="rg-servers",
    subscription_id=SUBSCRIPTION,
    tenant_id=TENANT,
    resource_id=(
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-servers"
        "/providers/Microsoft.HybridCompute/machines/web-01"
    ),
    location="westeurope",
    cloud="AzureCloud",
    vm_id="9f1378bb-435b-4f19-b20e-eba8db620897",
    correlation_id="c579193b-2547-4722-a45a-316bc2295746",
    identity_key_store="Default",
    agent_version="1.67.0.0",
    last_heartbeat="2026-01-02T03:04:05Z",
    https_proxy="http://proxy.contoso.com:8080",
    proxy_bypass=["Arc", "AAD"],
    cloud_provider="N/A",
)
CASES = {
    "show-connected": (CONNECTED, CloudProvider(), {}),
    "show-connected-os": (CONNECTED, CloudProvider(), {"os": True}),
    "show-disconnected": (Status(status="Disconnected", agent_version="1.67.0.0"), CloudProvider(), {}),
    "show-on-aws": (
        Status(status="Disconnected", agent_version="1.67.0.0"),
        CloudProvider(
            "AWS",
            {"awsAccountId": "123456789012", "awsInstanceId": "i-0abc", "awsRegion": "eu-west-1"},
        ),
        {},
    ),
}


@pytest.fixture
def session(tmp_path):
    return Session(
        layout=Layout(tmp_path),
        terminal=Terminal(io.StringIO(), io.StringIO()),
        clock=SystemClock(),
        chance=random.Random(1),
        environment={},
    )


@pytest.mark.parametrize("name", CASES)
def test_show_prints_the_documented_lines(session, name, tmp_path):
    status, cloud, flags = CASES[name]
    session.himds, session.host = Daemon(status), TheHost(cloud)
    show.run(session, Arguments(flags))
    same_as_golden(f"{name}.txt", session.terminal.out.getvalue().replace(str(tmp_path), ""))


@pytest.mark.parametrize("name", CASES)
def test_show_in_json_has_the_documented_keys(session, name, tmp_path):
    status, cloud, flags = CASES[name]
    session.himds, session.host = Daemon(status), TheHost(cloud)
    session.terminal.as_json = True
    document = show.run(session, Arguments(flags))
    same_as_golden(f"{name}.json", json.dumps(document, indent=2).replace(str(tmp_path), "") + "\n")


def test_show_lines_have_their_colon_in_one_column():
    for file in GOLDENS.glob("show-*.txt"):
        for line in file.read_text().splitlines():
            assert (
                line in {"Cloud Metadata", "Dependent Service Status", "Operating System"}
                or line[40:42] == ": "
            )


def test_config_list_prints_the_documented_lines(session):
    config_list.run(session, Arguments({}))
    same_as_golden("config-list.txt", session.terminal.out.getvalue())


def test_check_prints_a_table_and_why_an_endpoint_is_not_reachable():
    his = Target("https://gbl.his.arc.azure.com", private_link=True)
    probes = [
        Probe(his, reachable=True, private=True, tls="TLS 1.3"),
        Probe(
            Target("https://agentserviceapi.guestconfiguration.azure.com"),
            reachable=False,
            private=False,
            error="EOF",
        ),
        Probe(
            Target("https://management.azure.com"), reachable=True, tls="TLS 1.2", proxy="http://proxy:8080"
        ),
        Probe(
            Target("https://guestnotificationservice.azure.com", required=False),
            reachable=True,
            private=False,
            tls="TLS 1.3",
        ),
    ]
    same_as_golden("check.txt", table(probes) + "\n")
    document = {probe.target.url: probe.document() for probe in probes}
    same_as_golden("check.json", json.dumps(document, indent=2) + "\n")


def helps(entries=COMMANDS, path=""):
    yield path or "azcmagent", lambda: group_usage(path, COMMANDS[path] if path else None, entries)
    for name, entry in entries.items():
        full = f"{path} {name}".strip()
        if entry.below:
            yield from helps(entry.below, full)
        else:
            yield full, lambda full=full, entry=entry: command_usage(full, entry.load())


@pytest.mark.parametrize(("name", "text"), list(helps()), ids=[name for name, _ in helps()])
def test_help_is_as_it_was(name, text):
    same_as_golden(f"help-{name.replace(' ', '-')}.txt", text() + "\n")


def test_no_golden_is_left_over():
    wanted = {f"help-{name.replace(' ', '-')}.txt" for name, _ in helps()}
    wanted |= {f"{name}.{kind}" for name in CASES for kind in ("txt", "json")}
    assert {file.name for file in GOLDENS.iterdir()} == wanted | {
        "check.txt",
        "check.json",
        "config-list.txt",
    }
