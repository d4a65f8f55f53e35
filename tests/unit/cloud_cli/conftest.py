"""`fakecloud` as people run it: real processes, real sockets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

FAKECLOUD = [sys.executable, "-m", "arcbed_cloud.cli"]


class Served:
    """A `fakecloud serve` process that has said that it is ready."""

    def __init__(self, state: Path, *arguments: str) -> None:
        self.state = state
        self.process = subprocess.Popen(
            [*FAKECLOUD, "serve", "--state", str(state), "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        if "ready" not in self.first_line:
            raise AssertionError(self.process.communicate()[1])

    def close(self) -> None:
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def stop(self, *, kill: bool = False) -> int:
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        self.process.communicate(timeout=20)
        return self.process.returncode


def fakecloud(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FAKECLOUD, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "GITHUB_ACTIONS": "", **environment},
    )


@pytest.fixture(scope="session")
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    return fakecloud


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One process for the tests that only look."""
    process = Served(tmp_path_factory.mktemp("served") / "state")
    yield process
    process.stop()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start processes that are stopped with the test."""
    started: list[Served] = []

    def start(*arguments: str, state: Path | None = None) -> Served:
        process = Served(state or tmp_path / "state", *arguments)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.process.returncode is None:
            process.stop()
        process.close()
