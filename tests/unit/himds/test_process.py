"""himds as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from arcbed_agent.himds.client import HimdsClient
from arcbed_agent.host.layout import Layout


class Process:
    """A started himds; `first` is the first line it printed."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "arcbed_agent.himds"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "ARC_ROOT": str(root)},
        )
        self.first = self.popen.stdout.readline()

    def end(self) -> int:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        code = self.popen.wait(10)
        self.popen.stdout.close()
        self.error = self.popen.stderr.read()
        self.popen.stderr.close()
        return code


@pytest.fixture
def configured(tmp_path):
    layout = Layout(tmp_path)
    layout["home"].mkdir(parents=True)
    layout["local_config"].write_text(json.dumps({"himds.port": 0}))
    return tmp_path


def test_it_is_called_himds_stays_small_and_ends_on_sigterm(configured):
    process = Process(configured)
    try:
        assert "ready" in process.first
        folder = Path(f"/proc/{process.popen.pid}")
        assert (folder / "comm").read_text().strip() == "himds"
        assert (folder / "cmdline").read_bytes().split(b"\0")[0].strip() == b"himds"
        (resident,) = [
            line for line in (folder / "status").read_text().splitlines() if line.startswith("VmRSS")
        ]
        assert int(resident.split()[1]) < 60 * 1024
        status = HimdsClient(process.layout).status()
        assert str(status.port) in process.first
    finally:
        assert process.end() == 0
    assert not process.layout["himds_socket"].exists()
    log = process.layout["himds_log"].read_text()
    assert 'level=info msg="himds has started"' in log
    assert 'msg="himds has stopped"' in log


def test_after_kill_9_it_starts_again_over_the_stale_socket(configured):
    first = Process(configured)
    first.popen.kill()
    first.end()
    assert first.layout["himds_socket"].exists()
    second = Process(configured)
    try:
        assert HimdsClient(second.layout).status().pid == second.popen.pid
    finally:
        assert second.end() == 0


def test_a_second_one_leaves_with_6_and_says_why(configured):
    first = Process(configured)
    try:
        second = Process(configured)
        assert second.end() == 6
        assert "another himds" in second.error
    finally:
        first.end()


def test_a_broken_local_configuration_leaves_with_its_number(configured):
    Layout(configured)["local_config"].write_text('{"himds.port": "x"}')
    process = Process(configured)
    assert process.end() == 23
    assert "himds.port" in process.error
    assert "level=fatal" in process.layout["himds_log"].read_text()
