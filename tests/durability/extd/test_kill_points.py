"""kill -9 of extd at every point of an extension's life that could matter: every command runs once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

#: How many points there are, about: progress reports come and go. When a change moves this number, look at
#: the list that the failing test prints, and see that no new window has opened.
POINTS = 345
#: The quick run takes these parts of the list, the long one all of it.
SAMPLE = (0.1, 0.25, 0.33, 0.4, 0.5, 0.62, 0.7, 0.8, 0.9, 0.97)
DRIVER = Path(__file__).with_name("driver.py")
SUPPORT = Path(__file__).parents[2] / "support"
LIFE = [
    "1.0.0 install 0 -",
    "1.0.0 enable 0 -",
    "1.0.0 disable 1 -",
    "1.1.0 update 1 -",
    "1.0.0 uninstall 1 -",
    "1.1.0 install 1 -",
    "1.1.0 enable 1 -",
    "1.1.0 disable 1 -",
    "1.1.0 uninstall 1 -",
]


def drive(root: Path, kill_at: int = 0) -> subprocess.CompletedProcess[str]:
    root.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, str(DRIVER), str(root), str(kill_at)],
        env={**os.environ, "PYTHONPATH": str(SUPPORT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def points(root: Path) -> list[str]:
    return (root / "points").read_text().splitlines()


def prove(root: Path) -> None:
    machine = root / "machine"
    assert (machine / "runs").read_text().splitlines() == LIFE
    service = json.loads((root / "service.json").read_text())
    finals = {one["operation"]: one["state"] for one in service["reports"] if one["state"] != "InProgress"}
    assert list(finals.values()) == ["Succeeded"] * 3
    waagent = machine / "var/lib/waagent"
    assert sorted(path.suffix for path in waagent.iterdir()) == [".crt", ".prv"]
    assert not list((machine / "opt/GC_Ext/downloads").iterdir())
    assert not list((machine / "var/lib/GuestConfig/extensions/runs").iterdir())
    assert not list(machine.rglob(".*.new"))
    kept = [path for path in machine.rglob("*") if path.is_file() and b"open-sesame" in path.read_bytes()]
    assert kept == []


def killed(root: Path, at: int) -> None:
    dead = drive(root, at)
    assert dead.returncode == -9, dead.stderr
    again = drive(root)
    assert again.returncode == 0, (points(root)[at - 1], again.stderr)
    prove(root)


def run_all(folder: Path, chosen: list[int]) -> None:
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(killed, folder / str(at), at) for at in chosen]:
            done.result()


def test_the_points_of_an_extensions_life_are_known(tmp_path):
    done = drive(tmp_path)
    assert done.returncode == 0, done.stderr
    prove(tmp_path)
    found = points(tmp_path)
    assert abs(len(found) - POINTS) <= 12, "\n".join(found)


def test_killed_at_some_points_every_command_runs_once(tmp_path):
    run_all(tmp_path, sorted({max(1, round(part * POINTS)) for part in SAMPLE}))


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_killed_at_every_point_every_command_runs_once(tmp_path):
    run_all(tmp_path, list(range(1, POINTS - 12)))
