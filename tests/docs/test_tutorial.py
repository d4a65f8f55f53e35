"""The shell commands of the tutorial, run in order in one shell, as a reader would."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial" / "first-machine.md"
BIN = Path(sys.executable).parent


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def commands():
    """The page's commands, with free ports: other tests may run beside this one."""
    port = _free_port()
    text = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    text = text.replace("make up\n", "arcbed start --port 0\n")
    text = text.replace('export PATH="$PWD/.venv/bin:$PATH"\n', "")
    text = text.replace("himds >", f"azcmagent config set himds.port {port}\nhimds >").replace(
        "40342", str(port)
    )
    cleanup = "trap 'kill %1 2>/dev/null || true; arcbed stop >/dev/null || true' EXIT"
    return f"set -euo pipefail\n{cleanup}\n{text}"


@pytest.mark.skipif(not shutil.which("curl"), reason="the tutorial asks for curl, which is not here")
def test_commands_of_the_tutorial_work_in_order(commands, tmp_path):
    done = subprocess.run(
        ["bash", "-c", commands],
        cwd=tmp_path,
        env={"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for expected in (
        "Connected machine to Azure",
        "Agent Status                            : Connected",
        '"status": "Connected"',
        '"team": "ops"',
        '{"access_token": "eyJ',
        "Disconnected machine from Azure",
        "Stopped.",
    ):
        assert expected in done.stdout
