"""The pins of the control plane's image."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-")


def test_everything_that_the_control_plane_asks_for_is_pinned_for_its_image():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {_name(line) for line in (*project["dependencies"], *project["optional-dependencies"]["cloud"])}
    pins = (ROOT / "containers/fakecloud/requirements.txt").read_text().splitlines()
    assert asked <= {_name(line) for line in pins if "==" in line}
