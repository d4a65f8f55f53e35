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


@pytest.mark.parametrize("arguments", [["run"], ["run", "--all", "onboarding"], ["run", "no-such"]])
def test_run_without_a_clear_choice_leaves_with_2_and_says_what_there_is(arcbed, arguments):
    done = arcbed(*arguments)
    assert done.returncode == 2
    assert "arcbed list" in done.stderr or "onboarding" in done.stderr


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
