"""What `azcmagent show` says, with a himds that answers as it is told and without one."""

from __future__ import annotations

import os
import re

from tests.support.command_line import CONNECTED, GUID, RESOURCE


def test_show_of_a_connected_machine_tells_what_himds_knows(azcmagent, himds):
    himds.status_is(**CONNECTED)
    shown = azcmagent("show", "-j").json
    assert (shown["status"], shown["lastHeartbeat"]) == ("Connected", "2026-01-02T03:04:05Z")
    assert shown["resourceId"] == RESOURCE
    assert shown["portalUrl"] == f"https://portal.azure.com/#@{GUID}/resource{RESOURCE}/overview"
    assert {item["serviceName"]: item["status"] for item in shown["services"]}["himdsd"] == "active"


def test_show_without_himds_warns_and_says_disconnected(azcmagent, layout):
    finished = azcmagent("show", "--log-stderr")
    assert finished.code == 0
    assert f"ARC_ROOT={layout.root} himds" in finished.err
    assert re.search(r"^Agent Status +: Disconnected$", finished.out, re.MULTILINE)
    assert re.search(r"^  Agent Service \(himdsd\) +: inactive$", finished.out, re.MULTILINE)


def test_show_in_json_prints_one_document_and_nothing_else(azcmagent):
    finished = azcmagent("show", "-j")
    assert finished.json["status"] == "Disconnected"
    assert not finished.err


def test_show_of_named_properties_takes_labels_and_keys_in_any_case(azcmagent, himds):
    himds.status_is(**CONNECTED)
    lines = azcmagent("show", "agent status", "RESOURCENAME").out.splitlines()
    assert [line.partition(":")[0].strip() for line in lines] == ["Resource Name", "Agent Status"]
    assert azcmagent("show", "Agent Status", "-j").json == {"status": "Connected"}


def test_show_of_a_heading_shows_what_is_below_it(azcmagent, himds):
    lines = azcmagent("show", "Dependent Service Status").out.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("  ") for line in lines[1:])


def test_show_of_an_unknown_property_is_23(azcmagent, himds):
    assert azcmagent("show", "shoe size").code == 23


def test_show_with_os_adds_the_system(azcmagent, himds):
    assert f": {os.uname().release}\n" in azcmagent("show", "--os").out
    assert "osVersion" not in azcmagent("show", "-j").json
