"""What is written is also shipped."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from arcbed.harness import clauses

TREE = Path(__file__).parents[3]


def test_catalogue_goes_into_the_wheel_where_the_code_looks_for_it():
    wheel = tomllib.loads((TREE / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["docs/clauses.toml"] == str(
        clauses.INSTALLED.relative_to(clauses.PACKAGE.parent)
    )


@pytest.mark.skipif(not ((TREE / ".git").exists() and shutil.which("git")), reason="not a checkout")
def test_no_source_file_is_ignored():
    """An ignored folder is neither committed nor put into the wheel."""
    ask = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "--"]
    listing = subprocess.run(
        [*ask, "agent", "fakecloud", "scenarios"], cwd=TREE, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [path for path in listing if "__pycache__" not in path and ".egg-info" not in path] == []
