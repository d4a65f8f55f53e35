"""A control plane in the background, as `arcbed start` leaves it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
AZ = """#!/bin/sh
echo "$AZURE_CONFIG_DIR $AZURE_CORE_INSTANCE_DISCOVERY $REQUESTS_CA_BUNDLE | $*" >> "$AZ_LOG"
if [ "$1" = group ]; then exit 3; fi
"""


@pytest.fixture
def arcbed(tmp_path):
    """Runs arcbed in an empty folder, and stops what it started."""

    def run(*arguments, **environment):
        return subprocess.run(
            [BIN / "arcbed", *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    yield run
    run("stop")


def test_control_plane_is_started_once_and_survives_a_kill(arcbed):
    first = arcbed("start", "--port", "0")
    assert first.returncode == 0, first.stderr
    assert "arcbed stop" in first.stdout
    running = json.loads(arcbed("status", "--json").stdout)
    env = json.loads(arcbed("env", "--json").stdout)
    assert running["url"] == env["armEndpoint"]
    assert running["tables"]["principals"] == 3
    assert running["resources"] == {}

    again = arcbed("start", "--port", "0")
    assert again.returncode == 0
    assert f"running already (process {running['pid']})" in again.stdout

    os.kill(running["pid"], signal.SIGKILL)
    assert arcbed("status").returncode == 3
    assert arcbed("start", "--port", "0").returncode == 0
    assert json.loads(arcbed("env", "--json").stdout)["subscriptionId"] == env["subscriptionId"]

    assert arcbed("stop").returncode == 0
    assert json.loads(arcbed("status", "--json").stdout) == {"running": False}


def test_start_on_a_port_in_use_says_so_and_leaves_with_2(arcbed):
    assert arcbed("start", "--port", "0").returncode == 0
    taken = json.loads(arcbed("status", "--json").stdout)["url"].rpartition(":")[2]
    for _ in range(2):  # what the log says of an earlier start is not told again
        done = arcbed("start", "--state", "other", "--port", taken)
        assert done.returncode == 2
        assert done.stderr.count("address already in use") == 1


def test_azure_cli_is_set_up_once_with_a_folder_of_its_own(arcbed, tmp_path):
    program, log = tmp_path / "bin" / "az", tmp_path / "az.log"
    program.parent.mkdir()
    program.write_text(AZ)
    program.chmod(0o755)
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "AZ_LOG": str(log)}
    assert arcbed("start", "--port", "0").returncode == 0
    env = json.loads(arcbed("env", "--json").stdout)

    done = arcbed("az", "group", "list", "--output", "table", **environment)

    assert done.returncode == 3  # the CLI's own
    where = f"{tmp_path}/.arcbed/state/azure false {env['caFile']}"
    owner = env["owner"]
    login = f"--tenant {env['tenantId']} --username {owner['clientId']} --password {owner['clientSecret']}"
    assert log.read_text().splitlines() == [
        f"{where} | cloud register -n arcbed --endpoint-resource-manager {env['armEndpoint']}",
        f"{where} | cloud set -n arcbed",
        f"{where} | login --service-principal {login}",
        f"{where} | group list --output table",
    ]

    log.unlink()
    arcbed("az", "-h", **environment)
    assert log.read_text().splitlines() == [f"{where} | -h"]
