"""`azcmagent config`: what it changes, what it refuses and whom it tells."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest


def test_config_set_writes_the_file_and_tells_himds(azcmagent, himds, layout):
    finished = azcmagent("config", "set", "extensions.enabled", "false")
    assert finished.out.splitlines() == [
        "Config property extensions.enabled set to value false",
        "Updating service configuration: Extension Service",
    ]
    assert json.loads(layout["local_config"].read_text()) == {"extensions.enabled": False}
    assert ("reload", {}) in himds.asked


def test_config_set_works_while_himds_is_down(azcmagent, layout):
    assert azcmagent("config", "set", "proxy.url", "http://proxy:8080").code == 0
    assert azcmagent("config", "get", "proxy.url").out == "http://proxy:8080\n"


def test_config_lists_are_replaced_added_to_and_removed_from(azcmagent):
    name = "extensions.allowlist"
    azcmagent("config", "set", name, "A/One,B/Two")
    assert azcmagent("config", "set", name, "C/Three,a/one", "--add").last == "[A/One,B/Two,C/Three]"
    assert azcmagent("config", "set", name, "b/TWO", "-r").last == "[A/One,C/Three]"
    assert azcmagent("config", "set", name, "D/Four").last == "[D/Four]"
    assert azcmagent("config", "clear", name).last == "[D/Four]"
    assert azcmagent("config", "get", name).out == "[]\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["proxy.url"], 16),
        (["proxy.url", "a", "b"], 101),
        (["proxy.rul", "a"], 23),
        (["extensions.enabled", "maybe"], 23),
        (["extensions.agent.cpulimit", "0"], 23),
        (["extensions.agent.cpulimit", "many"], 23),
        (["proxy.bypass", "Everything"], 23),
        (["proxy.url", "http://user:pass@proxy:1"], 23),
        (["extensions.allowlist", "a/b", "--add", "--remove"], 27),
        (["config.mode", "full", "--add"], 23),
    ],
)
def test_config_set_of_what_cannot_be_changes_nothing(azcmagent, layout, words, code):
    assert azcmagent("config", "set", *words).code == code
    assert not layout["local_config"].exists()


def test_monitor_mode_keeps_the_lists_as_they_are(azcmagent):
    azcmagent("config", "set", "extensions.allowlist", "A/One")
    azcmagent("config", "set", "config.mode", "monitor")
    assert azcmagent("config", "set", "extensions.allowlist", "B/Two").code == 27
    assert azcmagent("config", "clear", "extensions.allowlist").code == 27
    azcmagent("config", "set", "config.mode", "full")
    assert azcmagent("config", "get", "extensions.allowlist").out == "[A/One]\n"


def test_config_json_has_real_types(azcmagent):
    azcmagent("config", "set", "proxy.bypass", "Arc")
    listed = azcmagent("config", "list", "-j").json
    assert listed["proxy.bypass"] == ["Arc"]
    assert listed["extensions.enabled"] is True
    assert listed["extensions.agent.cpulimit"] == 5


def test_config_list_does_not_show_the_testbeds_own_settings_unless_set(azcmagent):
    assert "himds.port" not in azcmagent("config", "list").out
    azcmagent("config", "set", "himds.port", "0")
    assert re.search(r"^  himds.port +: 0$", azcmagent("config", "list").out, re.MULTILINE)


def test_two_changes_at_the_same_time_both_last(azcmagent, layout):
    names = ["proxy.url", "extensions.agent.cpulimit", "guestconfiguration.agent.cpulimit", "himds.port"]
    values = ["http://proxy:1", "7", "8", "9"]
    command = [sys.executable, "-m", "arcbed_agent.cli", "config", "set"]
    running = [
        subprocess.Popen([*command, *pair], stdout=subprocess.DEVNULL)
        for pair in zip(names, values, strict=True)
    ]
    assert [process.wait() for process in running] == [0] * 4
    assert set(json.loads(layout["local_config"].read_text())) == set(names)


def test_config_file_that_is_broken_is_70(azcmagent, layout):
    layout["local_config"].parent.mkdir(parents=True)
    layout["local_config"].write_text("{")
    assert azcmagent("config", "list").code == 70
