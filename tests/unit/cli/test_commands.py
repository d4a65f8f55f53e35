"""What the commands do, print and leave behind, against a himds that answers as it is told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile

import pytest

from arcbed_agent import AGENT_VERSION
from arcbed_agent.cli.command import Arguments
from arcbed_agent.cli.connect import read_request
from arcbed_agent.errors import CODES, AgentError
from arcbed_agent.host.contract import CloudProvider

GUID = "0b7dd8a8-1d8b-4b38-9c5e-0f5f6f9d9a01"
RESOURCE = f"/subscriptions/{GUID}/resourceGroups/rg/providers/Microsoft.HybridCompute/machines/web-01"
CONNECTED = {
    "status": "Connected",
    "registration": "connected",
    "resource_name": "web-01",
    "resource_group": "rg",
    "subscription_id": GUID,
    "tenant_id": GUID,
    "resource_id": RESOURCE,
    "location": "westeurope",
    "cloud": "AzureCloud",
    "last_heartbeat": "2026-01-02T03:04:05Z",
}


def settings(layout, **values):
    layout["local_config"].parent.mkdir(parents=True, exist_ok=True)
    layout["local_config"].write_text(
        json.dumps({name.replace("_", "."): value for name, value in values.items()})
    )


# -- show ----------------------------------------------------------------------------------------------------


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


# -- config --------------------------------------------------------------------------------------------------


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


# -- connect and disconnect ----------------------------------------------------------------------------------

WANTED = {
    "subscription-id": GUID,
    "resource-group": "rg",
    "location": "West Europe",
    "resource-name": "web-01",
}
PRINCIPAL = {"service-principal-id": GUID, "tenant-id": GUID, "service-principal-secret": "s3cret"}


def words(**changes):
    flags = {**WANTED, **PRINCIPAL, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return [word for name, value in flags.items() if value for word in (f"--{name}", value)]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"subscription_id": ""}, 16),
        ({"resource_group": ""}, 16),
        ({"location": ""}, 16),
        ({"tenant_id": ""}, 16),
        ({"service_principal_id": ""}, 16),
        ({"service_principal_secret": ""}, 16),
        ({"service_principal_id": "me"}, 23),
        ({"tenant_id": "no tenant"}, 23),
        ({"resource_group": "no/group"}, 23),
        ({"resource_name": "ends-in-"}, 23),
        ({"resource_name": "x" * 55}, 23),
        ({"resource_name": "a b"}, 23),
        ({"cloud": "AzureMoon"}, 23),
        ({"tags": "k"}, 23),
        ({"correlation_id": "7"}, 23),
        ({"private_link_scope": "scope-1"}, 23),
        ({"access_token": "x.y.z"}, 27),
        ({"service_principal_secret": "", "service_principal_id": "", "access_token": "x.y.z"}, 12),
    ],
)
def test_connect_with_wrong_parameters_fails_before_anything_is_asked(azcmagent, himds, changes, code):
    finished = azcmagent("connect", *words(**changes))
    assert finished.code == code
    assert f"AZCM{code:04d}: {CODES[code]}" in finished.out
    assert himds.asked == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"tags": "k"}, 13), ({"cloud": "x"}, 14), ({"correlation_id": "7"}, 15), ({"resource_name": "a-"}, 17)],
)
def test_connect_with_the_seed_profile_has_the_numbers_of_2022(azcmagent, layout, changes, code):
    settings(layout, agent_profile="seed")
    assert azcmagent("connect", *words(**changes)).code == code


def test_connect_reads_every_parameter_in_the_form_that_azure_wants(session):
    request = read_request(
        session,
        Arguments(
            {
                **WANTED,
                **PRINCIPAL,
                "cloud": "azureusgovernment",
                "tags": "Owner='Ops team'",
                "subscription-id": "My subscription",
                "enable-automatic-upgrade": False,
            }
        ),
    )
    assert request.location == "westeurope"
    assert request.cloud == "AzureUSGovernment"
    assert request.tags == {"Owner": "Ops team"}
    assert request.subscription == "My subscription"
    assert request.automatic_upgrade is False
    assert re.fullmatch(r"[0-9a-f-]{36}", request.correlation_id)


def test_connect_without_himds_says_how_to_start_it(azcmagent, layout):
    finished = azcmagent("connect", *words())
    assert finished.code == 61
    assert f"ARC_ROOT={layout.root} himds" in finished.out


def test_connect_with_a_himds_that_talks_nonsense_is_64(azcmagent, himds):
    himds.answers["status"] = [{"nonsense": True}]
    assert azcmagent("connect", *words()).code == 64


def test_second_connect_is_67_and_prints_the_resource(azcmagent, himds):
    himds.status_is(**CONNECTED)
    finished = azcmagent("connect", *words())
    assert finished.code == 67
    assert RESOURCE in finished.out


def test_disconnect_of_a_machine_that_is_not_connected_is_63(azcmagent, himds):
    assert azcmagent("disconnect", *words()[8:]).code == 63


def test_disconnect_locally_needs_no_sign_in(azcmagent, himds):
    himds.status_is(**CONNECTED)
    finished = azcmagent("disconnect", "--force-local-only")
    assert finished.code == 0
    assert himds.asked[-1] == ("disconnect", {"access_token": None, "force_local_only": True})
    assert "still there" in finished.out


def test_failure_that_himds_reports_keeps_its_number_and_advice(azcmagent, himds):
    himds.status_is(**CONNECTED)
    error = {"number": 43, "message": "Code: AuthorizationFailed", "advice": "Ask for the role."}
    himds.answers["disconnect"] = [{"progress": {"percent": 20, "text": "Deleting"}}, {"error": error}]
    finished = azcmagent("disconnect", "-f", "-j")
    assert finished.code == 43
    assert finished.json == {
        "status": "failed",
        "error": {
            "code": "AZCM0043",
            "message": "Failed To Delete Resource: Code: AuthorizationFailed",
            "recommendedActions": ["Ask for the role."],
        },
    }


# -- who, where and what is left behind ----------------------------------------------------------------------


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


def test_log_of_a_failure_has_the_lines_that_scripts_search_for(azcmagent, layout):
    azcmagent("connect", "-g", "rg")
    lines = layout["cli_log"].read_text().splitlines()
    shape = re.compile(r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=(\w+) msg="((?:[^"\\]|\\.)*)"')
    found = [match.groups() for line in lines if (match := shape.match(line))]
    assert found == [
        ("info", f"azcmagent {AGENT_VERSION}: azcmagent connect -g rg"),
        ("error", "missing mandatory parameter --subscription-id"),
        ("info", "Exit Code: AZCM0016: Missing Mandatory Parameter"),
        ("fatal", "missing mandatory parameter --subscription-id"),
    ]


def test_log_is_at_debug_level_only_when_asked(azcmagent, layout, himds):
    himds.status_is(**CONNECTED)
    azcmagent("connect", *words())
    assert "level=debug" not in layout["cli_log"].read_text()


def test_secrets_stay_out_of_the_log_and_the_zip(azcmagent, layout, himds, tmp_path):
    himds.status_is(**CONNECTED)
    azcmagent("connect", *words(service_principal_secret="Very~Secret.1"), "-v")
    azcmagent(
        "connect", "-s", GUID, "-g", "rg", "-l", "x", "--access-token", "eyJhbGciOi.eyJzdWIi.c2ln", "-v"
    )
    azcmagent("connect", *words(service_principal_secret=""), "--service-principal-secret=Other~Secret.2")
    certificates = layout["certificates"]
    certificates.mkdir(parents=True)
    (certificates / "private.pem").write_text(
        "-----BEGIN PRIVATE KEY-----\nabcd\n-----END PRIVATE KEY-----\n"
    )
    (layout["logs"] / "himds.log").write_text(
        'time="x" level=info msg="Bearer eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl"\n'
    )
    (layout["logs"] / "stray.pem").write_text("abcd")
    path = tmp_path / "logs.zip"
    assert azcmagent("logs", "--output", str(path)).out == f"Log files are in {path}\n"
    with zipfile.ZipFile(path) as archive:
        everything = "".join(archive.read(name).decode() for name in archive.namelist())
        assert not [name for name in archive.namelist() if "certs" in name or name.endswith(".pem")]
        assert "var/opt/azcmagent/log/himds.log" in archive.namelist()
        assert json.loads(archive.read("azcmagent-show.json"))["status"] == "Connected"
    for text in (everything, layout["cli_log"].read_text()):
        assert "Secret" not in text.replace("Agent", "")
        assert "eyJ" not in text
        assert "PRIVATE KEY" not in text
    assert path.stat().st_mode & 0o077 == 0


def test_logs_take_the_newest_two_unless_all_are_wanted(azcmagent, layout, tmp_path, himds):
    layout["logs"].mkdir(parents=True)
    for number in range(4):
        file = layout["logs"] / f"himds.log.{number}"
        file.write_text(str(number))
        os.utime(file, (number, number))
    azcmagent("logs", "-o", str(tmp_path / "few.zip"))
    azcmagent("logs", "--full", "-o", str(tmp_path / "all.zip"))

    def held(name):
        with zipfile.ZipFile(tmp_path / name) as archive:
            return sorted(item[-1] for item in archive.namelist() if "himds.log" in item)

    assert held("few.zip") == ["2", "3"]
    assert held("all.zip") == ["0", "1", "2", "3"]


def test_logs_name_the_file_as_documented(azcmagent, tmp_path, monkeypatch, himds):
    monkeypatch.chdir(tmp_path)
    path = azcmagent("logs", "-j").json["path"]
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}/azcmagent-logs-\d{{6}}T\d{{4}}-[\w.-]+\.zip", path)


def test_logs_that_cannot_be_written_say_why_and_leave_nothing(azcmagent, tmp_path, himds):
    finished = azcmagent("logs", "-o", str(tmp_path / "missing" / "l.zip"))
    assert finished.code == 101
    assert "No such file" in finished.out


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


class OnAws:
    """A host on AWS."""

    def hostname(self):
        return "ip-10-0-0-7"

    def cloud(self):
        return CloudProvider("AWS", {"awsInstanceId": "i-0abc"})


@pytest.mark.parametrize(
    ("flags", "name"),
    [
        ({}, "i-0abc"),
        ({"use-aws-ec2-hostname": True}, "ip-10-0-0-7"),
        ({"resource-name": "chosen"}, "chosen"),
    ],
)
def test_machine_on_aws_is_named_by_its_instance_unless_told_otherwise(session, flags, name):
    session.host = OnAws()
    wanted = {key: value for key, value in WANTED.items() if key != "resource-name"}
    assert read_request(session, Arguments({**wanted, **PRINCIPAL, **flags})).resource_name == name


def test_azure_virtual_machine_is_refused_and_nothing_is_asked_of_azure(
    azcmagent, himds, session, monkeypatch
):
    class OnAzure(OnAws):
        def refusal(self):
            return AgentError(3, "cannot install Azure Connected Machine agent on an Azure virtual machine")

    monkeypatch.setattr("arcbed_agent.host.open_host", lambda _layout, _settings: OnAzure())
    finished = azcmagent("connect", *words())
    assert finished.code == 3
    assert "Azure virtual machine" in finished.out
    assert [method for method, _ in himds.asked] == ["status"]
