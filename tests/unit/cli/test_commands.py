"""What is alike for all commands: who may, exit codes, JSON, interrupts; and the small ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from tests.support.command_line import GUID

from arcbed_agent import AGENT_VERSION
from arcbed_agent.errors import CODES, AgentError


@pytest.mark.parametrize("command", ["connect", "disconnect", "genkey", "logs"])
def test_command_for_root_is_18_for_others(azcmagent, monkeypatch, command):
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    finished = azcmagent(command)
    assert finished.code == 18
    assert "owner of" in finished.out


def test_owner_of_arc_root_may_do_what_root_may(azcmagent, layout, monkeypatch):
    os.chown(layout.root, 4711, 4711)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    assert azcmagent("config", "set", "himds.port", "0").code == 0


def test_genkey_prints_the_same_public_key_twice(azcmagent, layout):
    first = azcmagent("genkey").out.strip()
    assert first.startswith("MIIBCgKCAQEA")
    assert azcmagent("genkey", "-j").json == {"publicKey": first}
    assert layout["machine_key"].stat().st_mode & 0o077 == 0


def test_genkey_leaves_the_key_of_a_connected_machine_alone(azcmagent, layout):
    layout["agent_config"].parent.mkdir(parents=True)
    layout["agent_config"].write_text(json.dumps({"vmId": GUID, "resourceName": "web-01"}))
    assert azcmagent("genkey").code == 67
    assert not layout["machine_key"].exists()


def test_license_and_version_are_printed(azcmagent):
    assert "MIT License" in azcmagent("license").out
    assert AGENT_VERSION in azcmagent("version").out
    assert azcmagent("version", "-j").json == {"version": AGENT_VERSION}


def test_json_failure_of_a_command_line_that_cannot_be_read_is_json(azcmagent):
    finished = azcmagent("show", "--bogus", "-j")
    assert finished.code == 101
    assert finished.json["error"]["code"] == "AZCM0101"


def test_reader_that_leaves_early_is_no_failure(layout):
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = subprocess.Popen(
        [sys.executable, "-m", "arcbed_agent.cli", "show"],
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write_end)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")


def test_interrupt_is_11(azcmagent, monkeypatch):
    def interrupted(*_arguments):
        raise KeyboardInterrupt

    from arcbed_agent.cli import version
    from arcbed_agent.cli.command import Command

    monkeypatch.setattr(version, "COMMAND", Command("Print the version", interrupted))
    assert azcmagent("version").code == 11


def test_unexpected_failure_is_1_and_its_trace_is_in_the_debug_log(azcmagent, monkeypatch, layout):
    from arcbed_agent.cli import version
    from arcbed_agent.cli.command import Command

    def broken(*_arguments):
        raise RuntimeError("boom")

    monkeypatch.setattr(version, "COMMAND", Command("Print the version", broken))
    layout["logs"].mkdir(parents=True)
    finished = azcmagent("version", "-v")
    assert finished.code == 1
    assert "RuntimeError: boom" in finished.out
    assert "Traceback" in layout["cli_log"].read_text()


def test_error_numbers_are_exit_codes():
    assert all(0 <= number <= 125 for number in CODES)
    assert str(AgentError(42, "m")) == "AZCM0042: Failed To Create Resource: m"
