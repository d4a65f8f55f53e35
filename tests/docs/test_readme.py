"""The Python snippet of README.md, run as a reader would."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def _arcbed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "arcbed", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def folder_with_a_control_plane(tmp_path):
    started = _arcbed(tmp_path, "start", "--port", "0")
    assert started.returncode == 0, started.stderr
    yield tmp_path
    stopped = _arcbed(tmp_path, "stop")
    assert stopped.returncode == 0, stopped.stderr


def snippets(language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )


def test_sdk_snippet_of_the_readme_runs_and_leaves_what_it_says(folder_with_a_control_plane):
    (snippet,) = snippets("python")
    ask = "\nprint([group.name for group in resources.resource_groups.list()])\n"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", snippet + ask],
        cwd=folder_with_a_control_plane,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "['rg-arc']" in done.stdout


def test_shell_commands_of_the_readme_name_targets_that_make_knows():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {match for text in snippets("sh") for match in re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)}
    assert named
    assert named <= targets
