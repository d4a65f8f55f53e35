"""Beds made of containers. Needs a Docker engine and the images of `make images`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from arcbed.harness import Bed, CloudOptions
from arcbed.harness.places import DOCKER

ROOT = Path(__file__).parents[2]
NEXT = "1.68.0.0"


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """Builds a package of the agent, of any version, once."""
    folder = tmp_path_factory.mktemp("packages")

    def build(version):
        file = folder / f"azcmagent_{version}_amd64.deb"
        if not file.exists():
            command = [sys.executable, str(ROOT / "agent/packaging/build.py"), "--output", str(folder)]
            more = ["--version", version, "--kind", "deb", "--python", "3.11"]
            subprocess.run([*command, *more], check=True, capture_output=True, timeout=120)
        return file

    return build


@pytest.fixture
async def bed():
    """A bed whose heartbeats come every second."""
    options = CloudOptions(heartbeat_throttle=False, arguments=("--heartbeat-seconds", "1"))
    async with Bed(options, place=DOCKER) as bed:
        await bed.cloud.register()
        await bed.cloud.new_group("rg-servers")
        yield bed
