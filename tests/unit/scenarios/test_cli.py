"""The command line of arcbed, from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


@pytest.fixture
def arcbed(tmp_path):
    def run(*arguments, **environment):
        return subprocess.run(
            [BIN / "arcbed", *arguments],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_list_names_every_scenario(arcbed):
    found = json.loads(arcbed("list", "--json").stdout)
    names = [one["name"] for one in found]
    assert names == sorted(names, key=lambda name: ("/" in name, name))
    assert {"onboarding", "cut-machine", "firewall", "proxy"} <= set(names)
    assert sum(one["name"].startswith("field/") for one in found) >= 2
    assert all(one["title"] and one["about"] for one in found)
    assert "onboarding" in arcbed("list").stdout


def test_list_says_which_scenarios_need_containers_or_take_minutes(arcbed):
    lines = {line.split()[0]: line for line in arcbed("list").stdout.splitlines()}
    assert lines["field/login-host-blocked"].rstrip().endswith("(needs --backend docker)")
    assert lines["disconnect-retention"].rstrip().endswith("(takes minutes)")
    assert lines["field/rebuilt-machine"].rstrip().endswith("Rebuilt under the same name")
    found = {one["name"]: one for one in json.loads(arcbed("list", "--json").stdout)}
    assert found["field/login-host-blocked"]["needs"] == ["network", "names"]
    assert found["disconnect-retention"]["long"] is True


@pytest.mark.parametrize("arguments", [["run"], ["run", "--all", "onboarding"], ["run", "no-such"]])
def test_run_without_a_clear_choice_leaves_with_2_and_says_what_there_is(arcbed, arguments):
    done = arcbed(*arguments)
    assert done.returncode == 2
    assert "arcbed list" in done.stderr or "onboarding" in done.stderr


def test_mistyped_scenario_is_answered_with_those_that_are_called_nearly_so(arcbed):
    assert "did you mean onboarding?" in arcbed("run", "onbording").stderr
    assert "field/rebuilt-machine" in arcbed("run", "rebuilt-machine").stderr


@pytest.mark.parametrize("command", [["run", "field/rebuilt-machine"], ["demo"]])
def test_reports_that_cannot_be_written_are_told_before_the_run(arcbed, tmp_path, command):
    (tmp_path / "taken").write_text("")
    done = arcbed(*command, "--report", "taken/reports")
    assert (done.returncode, done.stdout) == (2, "")
    assert "reports cannot be written to taken/reports: Not a directory" in done.stderr


def test_state_that_cannot_be_made_is_told_in_a_line(arcbed, tmp_path):
    (tmp_path / "taken").write_text("")
    done = arcbed("start", "--state", "taken/state")
    assert done.returncode == 2
    assert done.stderr.strip() == "arcbed: taken/state: Not a directory; choose another --state"


@pytest.mark.parametrize("file", ["state.db", "secrets.json"])
def test_damaged_state_is_told_in_a_line(arcbed, tmp_path, file):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / file).write_text("this is neither a database nor JSON")
    done = arcbed("start", "--state", "state", "--port", "0")
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first == "arcbed: fakecloud ended with exit code 1"
    assert second.startswith(f"fakecloud: {tmp_path}/state/{file}")
    assert second.endswith("or choose another --state.")


def test_az_that_is_not_installed_says_how_to_get_it(arcbed, tmp_path):
    done = arcbed("az", "group", "list", PATH=str(tmp_path))
    assert done.returncode == 2
    assert "the Azure CLI is not installed" in done.stderr
    assert "pipx install azure-cli" in done.stderr


def test_az_without_a_control_plane_says_how_to_start_one(arcbed, tmp_path):
    program = tmp_path / "az"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    done = arcbed("az", "group", "list", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 2
    assert "arcbed start" in done.stderr


@pytest.mark.parametrize(
    "command",
    [["env"], ["env", "--json"], ["clock", "show"], ["clock", "advance", "1d"], ["onboarding-script"]],
)
def test_command_that_needs_a_control_plane_says_how_to_start_one(arcbed, command):
    done = arcbed(*command, "--state", "elsewhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "arcbed: no control plane runs on elsewhere; `arcbed start --state elsewhere` starts one\n"
    )


def test_env_without_a_control_plane_still_says_how_to_forget_it_and_what_it_takes(arcbed):
    assert "unset ARM_ENDPOINT" in arcbed("env", "--unset").stdout
    assert "--principal" in arcbed("env", "--help").stdout


def test_status_and_stop_without_a_control_plane_say_so(arcbed):
    assert (done := arcbed("status")).returncode == 3
    assert "arcbed start" in done.stdout
    assert json.loads(arcbed("status", "--json").stdout) == {"running": False}
    assert arcbed("stop").returncode == 0


def test_process_id_left_by_a_crash_is_not_taken_for_a_control_plane(arcbed, tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / "fakecloud.pid").write_text(str(os.getpid()))
    (state / "fakecloud.json").write_text(json.dumps({"port": 1, "pid": os.getpid()}))
    assert arcbed("status", "--state", str(state)).returncode == 3
    assert arcbed("stop", "--state", str(state)).returncode == 0


def test_engine_that_does_not_run_is_told_in_a_line_with_what_to_do(arcbed, tmp_path):
    done = arcbed("down", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "arcbed: no Docker engine answers: it does not run; start one, or point DOCKER_HOST at one\n"
    )
