"""azcmagent in this process below a folder of its own, and a himds that answers as it is told."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from arcbed_agent.cli.application import run
from arcbed_agent.himds.messages import Status, socket_address
from arcbed_agent.host.layout import Layout


@dataclass
class Finished:
    """How a run ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def last(self) -> str:
        """The last word of the first line."""
        return self.out.splitlines()[0].split()[-1]


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setenv("ARC_ROOT", str(root))
    return Layout(root)


@pytest.fixture
def azcmagent(layout: Layout, capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Run azcmagent with these words."""

    def call(*words: str) -> Finished:
        capsys.readouterr()
        code = run(words)
        captured = capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    return call


@dataclass
class ScriptedHimds:
    """Listens on the real socket and speaks the real lines.

    Args:
        answers: method to the lines that it answers with.
        asked: method and parameters of every request.
    """

    path: Path
    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def status_is(self, **values: Any) -> Status:
        status = Status(**{"status": "Disconnected", **values})
        self.answers["status"] = [{"result": status.to_json()}]
        return status

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line, line.makefile("rwb") as stream, contextlib.suppress(OSError):
                request = json.loads(stream.readline() or b"{}")
                if not request:
                    continue
                self.asked.append((request["method"], request["parameters"]))
                for answer in self.answers.get(request["method"], [{"result": {}}]):
                    stream.write(json.dumps(answer).encode() + b"\n")


@pytest.fixture
def himds(layout: Layout) -> Iterator[ScriptedHimds]:
    path = layout["himds_socket"]
    path.parent.mkdir(parents=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket_address(path) as address:
        listener.bind(address)
    listener.listen()
    server = ScriptedHimds(path)
    server.status_is()
    server.answers["disconnect"] = server.answers["status"]
    thread = threading.Thread(target=server.serve, args=(listener,))
    thread.start()
    yield server
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.fixture
def session(layout: Layout):
    """A session whose output is kept."""
    import io
    import random

    from arcbed_agent.cli.session import Session
    from arcbed_agent.cli.terminal import Terminal
    from arcbed_agent.clock import SystemClock

    return Session(
        layout=layout,
        terminal=Terminal(io.StringIO(), io.StringIO()),
        clock=SystemClock(),
        chance=random.Random(7),
        environment={},
    )
