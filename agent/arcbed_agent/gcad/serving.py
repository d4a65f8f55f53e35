"""The worker as the agent uses it: started once, and a copy of it evaluates each time.

Starting Python costs a quarter of a second, copying a started one a few milliseconds. One JSON object a line:
``{"arguments", "environment"}`` down, ``{"code", "answer", "cpuSeconds"}`` up. The end of the connection is
the end of the worker and of what it evaluates.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from setproctitle import setproctitle

from arcbed_agent.gcad.dsc import registry
from arcbed_agent.gcad.worker import answer
from arcbed_agent.himds.messages import socket_address
from arcbed_agent.host.layout import Layout

TITLE: Final = "gc_worker"


@dataclass(frozen=True)
class _Running:
    pid: int
    pipe: int


def serve(path: str, layout: Layout) -> None:
    """Do what the agent at `path` says, until it hangs up."""
    setproctitle(TITLE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket_address(Path(path)) as address:
        line.connect(address)
    # Copies share what is loaded now; loading it anew would cost each of them 50 ms.
    registry.supported()
    gc.disable()
    gc.freeze()
    stream = line.makefile("rb")
    while request := stream.readline():
        asked = json.loads(request)
        running = _copy(line, asked["arguments"], asked["environment"], layout)
        outcome = _attend(line, running)
        if outcome is None:
            return
        line.sendall(json.dumps(outcome).encode() + b"\n")


def _copy(
    line: socket.socket, arguments: Sequence[str], environment: Mapping[str, str], layout: Layout
) -> _Running:
    """A process of its own, and a process group: what it starts ends with it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return _Running(pid, reading)
    try:
        os.setpgid(0, 0)
        os.close(reading)
        line.close()
        setproctitle(" ".join([TITLE, *arguments]))
        os.environ.update(environment)
        code, said = answer(arguments, os.environ, layout)
        os.write(writing, json.dumps(said).encode())
        os._exit(code)
    except BaseException:  # noqa: BLE001 - nothing may go on as a second worker
        traceback.print_exc(file=sys.stderr)
        os._exit(1)


def _attend(line: socket.socket, running: _Running) -> dict[str, Any] | None:
    """What the evaluation said; None when the agent has hung up, and then it is ended."""
    said = b""
    while True:
        ready, _, _ = select.select([running.pipe, line.fileno()], [], [])
        if running.pipe in ready:
            piece = os.read(running.pipe, 65_536)
            if not piece:
                break
            said += piece
        elif not line.recv(1, socket.MSG_PEEK):
            _end(running.pid)
            return None
    os.close(running.pipe)
    _, status, used = os.wait4(running.pid, 0)
    _end(running.pid)
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "answer": _read(said), "cpuSeconds": used.ru_utime + used.ru_stime}


def _read(said: bytes) -> dict[str, Any]:
    with suppress(ValueError):
        document = json.loads(said)
        if isinstance(document, dict):
            return document
    return {}


def _end(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
