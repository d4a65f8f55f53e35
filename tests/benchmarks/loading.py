"""Loading a server with wrk, and accounting the CPU that it takes for it."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from probe import cpu_seconds

HERE = Path(__file__).parent
CONNECTIONS = 32


@dataclass
class Load:
    """What one wrk run did: refusals, and CPU in microseconds a request, requests and MB a second."""

    bad: int
    cpu_us: float
    rate: float
    megabytes: float


@dataclass
class Server:
    """A process under load, and the address and script that wrk is given."""

    pid: int
    url: str
    script: str


def lua(method: str, headers: dict[str, str], body: str = "", more: str = "") -> str:
    """The wrk script of one kind of request."""
    lines = [f"wrk.method = {json.dumps(method)}"]
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    if body:
        lines.append(f"wrk.body = {json.dumps(body)}")
    return "\n".join(lines) + "\n" + more


def load(server: Server, seconds: int, folder: Path) -> Load:
    """Load a server for `seconds`, after one second that does not count."""
    file = folder / "load.lua"
    file.write_text(server.script)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-s", str(file)]
    subprocess.run([*command, "-d1s", server.url], check=True, capture_output=True)
    before = cpu_seconds(server.pid)
    out = subprocess.run(
        [*command, f"-d{seconds}s", server.url], check=True, capture_output=True, text=True
    ).stdout
    used = cpu_seconds(server.pid) - before
    requests = int(re.search(r"(\d+) requests in", out)[1])
    bad = int(found[1]) if (found := re.search(r"Non-2xx or 3xx responses: (\d+)", out)) else 0
    size, unit = re.search(r"Transfer/sec:\s+([\d.]+)(\w+)", out).groups()
    scale = {"B": 1e-6, "KB": 1e-3, "MB": 1.0, "GB": 1e3}[unit] * 1.024
    return Load(bad, used / max(requests, 1) * 1e6, requests / seconds, float(size) * scale)


@contextlib.contextmanager
def baseline(program: str, sample: Path, tls: list[str]) -> Iterator[tuple[int, str]]:
    """A baseline server on a free port: its process and its address."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(HERE / program), str(port), str(sample), *tls])
    url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        transport = httpx.HTTPTransport(retries=50, verify=False)
        with httpx.Client(transport=transport) as client:
            client.get(f"{url}/item")
        yield process.pid, url
    finally:
        process.terminate()
        process.wait()
