"""Docker as the tests of images drive it: its command line, objects that carry a label, and their removal."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

FAKECLOUD, MACHINE, AGENT = "arcbed/fakecloud:dev", "arcbed/machine:dev", "arcbed/agent:dev"
AZURITE = "arcbed/azurite:dev"


def docker(*arguments: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run docker; a failure shows what it printed."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done


def inspect(thing: str) -> dict[str, Any]:
    """What `docker inspect` says of one object."""
    found: dict[str, Any] = json.loads(docker("inspect", thing).stdout)[0]
    return found


@dataclass
class Container:
    """A running container."""

    name: str

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`docker exec`."""
        return docker("exec", self.name, *command, check=check)

    def sh(self, script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A shell script inside."""
        return self.run("bash", "-c", script, check=check)

    def wait(self, script: str, seconds: float = 20) -> str:
        """Until `script` succeeds inside; what it printed. The loop runs inside, in one exec."""
        loop = f"until {{ {script}; }}; do sleep 0.1; done"
        done = docker("exec", self.name, "timeout", str(seconds), "bash", "-c", loop, check=False)
        assert done.returncode == 0, f"within {seconds} s not: {script}\n{done.stdout}{self.logs}"
        return done.stdout

    @property
    def logs(self) -> str:
        """What it has printed."""
        done = docker("logs", self.name)
        return done.stdout + done.stderr


@contextmanager
def container(image: str, *options: str, command: tuple[str, ...] = ()) -> Iterator[Container]:
    """A container for as long as the block lasts."""
    name = f"arcbed-test-{uuid.uuid4().hex[:8]}"  # noqa: TID251 - a name nobody else has
    docker("run", "--detach", "--name", name, "--label", "dev.arcbed.test=true", *options, image, *command)
    try:
        yield Container(name)
    finally:
        docker("rm", "--force", "--volumes", name)
