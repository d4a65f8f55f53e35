"""Upgrades that the service asks for: when they start, and what himds says of them."""

from __future__ import annotations

import json
import logging

import pytest

from arcbed_agent import AGENT_VERSION
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.upgrades import Upgrades
from arcbed_agent.upgrade import Attempt
from arcbed_agent.upgrade.packages import Apt, Rpm

NEXT = "1.99.0.0"
MADISON = f"""
 azcmagent | {NEXT} | https://packages.microsoft.com/debian/12/prod bookworm/main amd64 Packages
 azcmagent | 1.67.0.0 | https://packages.microsoft.com/debian/12/prod bookworm/main amd64 Packages
"""


@pytest.fixture
def started():
    return []


@pytest.fixture
def upgrades(bed, started):
    return Upgrades(bed.layout, bed.clock, logging.getLogger("test"), started.append)


def wish(version, request="c-1"):
    return {"desiredVersion": version, "correlationId": request, "enableAutomaticUpgrade": False}


def test_each_request_starts_one_upgrade(upgrades, started, bed):
    for request in ("c-1", "c-1", "c-2"):
        upgrades.consider(wish(NEXT, request))
    program = str(bed.layout["programs"] / "azcmagent")
    assert started == [
        [program, "upgrade", "--version", NEXT, "--correlation-id", request] for request in ("c-1", "c-2")
    ]
    assert upgrades.reported() == {}  # it is going on


@pytest.mark.parametrize("version", [AGENT_VERSION, AGENT_VERSION.rsplit(".", 2)[0], "", None])
def test_version_that_runs_already_is_no_upgrade(upgrades, started, version):
    upgrades.consider(wish(version))
    assert started == []


@pytest.mark.parametrize("wanted", ["1.68; reboot", "--allow-unauthenticated", "latest", "../x", "9"])
def test_what_is_no_version_never_reaches_a_command_line(upgrades, started, wanted):
    upgrades.consider(wish(wanted))
    assert started == []
    told = upgrades.reported()
    assert (told["lastAttemptStatus"], told["lastAttemptDesiredVersion"]) == ("Failed", wanted)


@pytest.mark.parametrize("nonsense", [None, [], "1.68", {"desiredVersion": {}}])
def test_nonsense_is_no_wish(upgrades, nonsense):
    upgrades.consider(nonsense)


def test_program_that_cannot_be_started_is_reported(bed):
    def broken(command):
        raise FileNotFoundError(2, "No such file", command[0])

    upgrades = Upgrades(bed.layout, bed.clock, logging.getLogger("test"), broken)
    upgrades.consider(wish(NEXT))
    assert upgrades.reported()["lastAttemptStatus"] == "Failed"


def test_damaged_record_is_as_none(upgrades, bed):
    bed.layout["upgrade"].parent.mkdir(parents=True, exist_ok=True)
    bed.layout["upgrade"].write_text("[]")
    assert (Attempt.load(bed.layout), upgrades.reported()) == (None, {})


async def test_heartbeat_says_how_the_newest_attempt_ended(bed):
    Attempt(desired_version=NEXT, status="Success", timestamp="2026-01-01T00:00:00Z").save(bed.layout)
    async with bed.running() as himds:
        await bed.connect(himds)
    assert bed.azure.heartbeats[0]["agentUpgrade"] == {
        "lastAttemptDesiredVersion": NEXT,
        "lastAttemptTimestamp": "2026-01-01T00:00:00Z",
        "lastAttemptStatus": "Success",
        "lastAttemptMessage": "",
    }


async def test_wish_in_an_answer_is_followed(bed):
    bed.azure.answer_more = {"agentUpgrade": wish("nonsense")}
    async with bed.running() as himds:
        await bed.connect(himds)
    assert json.loads(bed.layout["upgrade"].read_text())["status"] == "Failed"


def test_apt_asks_the_agents_repository_only_and_reads_what_it_has():
    ran = []

    def run(command):
        ran.append(command)
        return MADISON

    apt = Apt(run)
    apt.refresh()
    assert apt.versions() == [NEXT, "1.67.0.0"]
    apt.install(NEXT)
    assert "Dir::Etc::sourceparts=-" in ran[0]
    assert ran[-1][-2:] == ["install", f"azcmagent={NEXT}"]


def test_dnf_spells_versions_with_a_release():
    ran = []

    def run(command):
        ran.append(command)
        return "Available Packages\nazcmagent.x86_64   1.99.0-0   packages-microsoft-com-prod\n"

    dnf = Rpm(run, "dnf")
    assert dnf.versions() == [NEXT]
    dnf.install(NEXT)
    assert ran[-1][-1] == "azcmagent-1.99.0-0"


def test_failure_of_the_package_manager_is_told_in_its_own_words():
    from arcbed_agent.upgrade import packages

    with pytest.raises(AgentError, match="exit code 3: it is broken") as raised:
        packages._run(["sh", "-c", "echo it is broken >&2; exit 3"])
    assert raised.value.number == 2
    with pytest.raises(AgentError, match="failed"):
        packages._run(["/no/such/program"])
