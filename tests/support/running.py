"""A control plane as a real process, seen from outside: its environment, its database file, its end."""

from __future__ import annotations

import json
import signal
import sqlite3
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class RunningCloud:
    """A `fakecloud serve` process and what `fakecloud env --json` says of it."""

    state: Path
    process: subprocess.Popen[str]
    env: dict[str, Any]

    @property
    def url(self) -> str:
        return self.env["armEndpoint"]

    @property
    def ca(self) -> str:
        return self.env["caFile"]

    @property
    def tls(self) -> ssl.SSLContext:
        """What httpx is given to trust the bed."""
        return ssl.create_default_context(cafile=self.ca)

    def stored(self, table: str, key: str) -> dict[str, Any] | None:
        """One row read straight from the database file: the second path to the same truth."""
        database = sqlite3.connect(f"file:{self.state / 'state.db'}?mode=ro", uri=True)
        try:
            row = database.execute(f"SELECT body FROM {table} WHERE key = ?", (key.lower(),)).fetchone()
        finally:
            database.close()
        return json.loads(row[0]) if row else None

    def stored_keys(self, table: str, kind: str) -> list[str]:
        """Keys of all rows of a kind, read straight from the database file."""
        database = sqlite3.connect(f"file:{self.state / 'state.db'}?mode=ro", uri=True)
        try:
            rows = database.execute(
                f"SELECT key FROM {table} WHERE kind = ? ORDER BY key", (kind,)
            ).fetchall()
        finally:
            database.close()
        return [key for (key,) in rows]

    def kill(self) -> None:
        """kill -9, and wait until the process is gone."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def stop(self) -> None:
        """SIGTERM, as an operator would."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        if self.process.stdout:
            self.process.stdout.close()


def restart(cloud: RunningCloud, *arguments: str) -> RunningCloud:
    """Start a stopped or killed control plane again; only its port may have changed."""
    process = launch(cloud.state, *arguments)
    url = json.loads((cloud.state / "fakecloud.json").read_text())["url"]
    moved = dict.fromkeys(("armEndpoint", "authority"), url)
    return RunningCloud(cloud.state, process, cloud.env | moved)


def serve(state: Path, *arguments: str) -> RunningCloud:
    """Start `fakecloud serve` on a free port and return once it says that it is ready."""
    process = launch(state, *arguments)
    output = subprocess.run(
        [sys.executable, "-m", "arcbed_cloud.cli", "env", "--state", str(state), "--json"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return RunningCloud(state, process, json.loads(output))


def launch(state: Path, *arguments: str) -> subprocess.Popen[str]:
    """The process, ready to be called."""
    command = [
        sys.executable,
        "-m",
        "arcbed_cloud.cli",
        "serve",
        "--state",
        str(state),
        "--port",
        "0",
        *arguments,
    ]
    log = (state.parent / f"{state.name}.log").open("a")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    log.close()
    assert process.stdout is not None
    for line in process.stdout:
        if "ready" in line.lower():
            break
    else:
        process.wait()
        raise AssertionError((state.parent / f"{state.name}.log").read_text()[-2000:])
    return process
