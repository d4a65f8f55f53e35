"""Files that survive, and the two configuration files."""

from __future__ import annotations

import json
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed_agent.config import PROPERTIES, AgentConfig, LocalConfig, property_named
from arcbed_agent.errors import AgentError
from arcbed_agent.files import sweep, write_durably
from arcbed_agent.host.layout import Layout

CONNECTED = AgentConfig(
    subscription_id="s",
    resource_group="g",
    resource_name="m",
    tenant_id="t",
    location="l",
    cloud="c",
    vm_id="v",
)


def test_write_that_fails_leaves_the_old_content_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_durably(path, "old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        write_durably(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_write_sets_the_mode_whatever_the_umask(tmp_path):
    before = os.umask(0o777)
    try:
        write_durably(tmp_path / "file", b"x", mode=0o640)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_sweep_removes_what_a_killed_writer_left_and_nothing_of_a_living_one(tmp_path):
    dead, mine, other = (
        tmp_path / ".a.json.999999999-0.new",
        tmp_path / f".a.json.{os.getpid()}-0.new",
        tmp_path / ".b",
    )
    for path in (dead, mine, other):
        path.write_text("")
    sweep(tmp_path)
    assert not dead.exists()
    assert mine.exists()
    assert other.exists()


@pytest.mark.parametrize("damage", [None, "", "{broken", "[]"])
def test_agentconfig_is_restored_from_its_backup(tmp_path, damage):
    layout = Layout(tmp_path)
    CONNECTED.save(layout)
    if damage is None:
        layout["agent_config"].unlink()
    else:
        layout["agent_config"].write_text(damage)
    assert AgentConfig.load(layout) == CONNECTED


def test_a_disconnected_agentconfig_cannot_come_back_from_a_backup(tmp_path):
    layout = Layout(tmp_path)
    CONNECTED.save(layout)
    AgentConfig().save(layout)
    layout["agent_config"].unlink()
    assert AgentConfig.load(layout) == AgentConfig()
    assert AgentConfig().resource_id == ""


def test_a_broken_agentconfig_without_backup_is_70(tmp_path):
    layout = Layout(tmp_path)
    layout["home"].mkdir(parents=True)
    layout["agent_config"].write_text("{broken")
    with pytest.raises(AgentError) as caught:
        AgentConfig.load(layout)
    assert caught.value.number == 70


def test_localconfig_keeps_dotted_names_at_the_top_level_and_what_it_does_not_know(tmp_path):
    layout = Layout(tmp_path)
    layout["home"].mkdir(parents=True)
    layout["local_config"].write_text(json.dumps({"proxy.bypass": ["AMA"], "future.setting": {"a": 1}}))
    LocalConfig.load(layout).with_value("proxy.url", "http://proxy:8080").save(layout)
    document = json.loads(layout["local_config"].read_text())
    assert document == {"proxy.bypass": ["AMA"], "future.setting": {"a": 1}, "proxy.url": "http://proxy:8080"}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("proxy.url", "proxy:8080", "proxy:8080"),
        ("proxy.bypass", "AAD,arc", ("AAD", "arc")),
        ("extensions.enabled", "FALSE", False),
        ("guestconfiguration.agent.cpulimit", "80", 80),
        ("incomingconnections.ports", "[22, 6516]", ("22", "6516")),
        ("extensions.allowlist", "A.B/C, D/E", ("A.B/C", "D/E")),
        ("config.mode", "monitor", "monitor"),
    ],
)
def test_values_are_read_as_people_type_them(name, text, value):
    assert property_named(name.upper()).parse(text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("proxy.url", "https://proxy:8080"),
        ("proxy.url", "http://user:secret@proxy:8080"),
        ("proxy.url", "http://proxy:99999"),
        ("proxy.bypass", "Everything"),
        ("extensions.enabled", "perhaps"),
        ("guestconfiguration.agent.cpulimit", "0"),
        ("guestconfiguration.agent.cpulimit", "101"),
        ("guestconfiguration.agent.cpulimit", "many"),
        ("incomingconnections.ports", "70000"),
        ("extensions.allowlist", "JustOneWord"),
        ("config.mode", "half"),
        ("connection.type", "carrier pigeon"),
        ("endpoints.arm", "http://arm.test"),
        ("himds.port", "-1"),
    ],
)
def test_values_that_will_not_do_are_23(name, text):
    with pytest.raises(AgentError) as caught:
        property_named(name).parse(text)
    assert caught.value.number == 23
    assert name in caught.value.message


def test_a_proxy_secret_is_not_repeated_in_the_error():
    with pytest.raises(AgentError) as caught:
        property_named("proxy.url").parse("http://user:hunter2@proxy:8080")
    assert "hunter2" not in str(caught.value)


@given(st.sampled_from(sorted(PROPERTIES)), st.text(max_size=40))
def test_no_text_crashes_a_property_and_what_is_accepted_can_be_stored(name, text):
    try:
        value = PROPERTIES[name].parse(text)
    except AgentError as error:
        assert error.number == 23
        return
    config = LocalConfig().with_value(name, value)
    assert config[name] == value
    assert config.without(name)[name] == PROPERTIES[name].default


def test_the_report_to_azure_has_arms_shape():
    config = (
        LocalConfig()
        .with_value("extensions.blocklist", ["A.B/C"])
        .with_value("extensions.enabled", value=False)
    )
    assert config.reported() == {
        "proxyUrl": "",
        "proxyBypass": [],
        "incomingConnectionsPorts": [],
        "extensionsAllowList": [],
        "extensionsBlockList": [{"publisher": "A.B", "type": "C"}],
        "extensionsEnabled": "false",
        "guestConfigurationEnabled": "true",
        "configMode": "full",
    }
