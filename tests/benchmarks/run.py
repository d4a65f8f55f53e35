"""Server CPU per request of the control plane beside two baselines, in one run. Run: make bench.

Each case is loaded by wrk (32 connections) and measured by the kernel's own account of the server process,
so that the client's cost does not count. Baselines answer the same bytes: (a) a bare ASGI app, (b) a plain
FastAPI route with a response model. The ratio is baseline CPU over ours: 1.0 is as cheap as the baseline,
2.0 twice as cheap.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))
from onboarded import onboard  # noqa: E402
from running import RunningCloud, serve  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 32
VERSION = "api-version=2024-07-10"


@dataclass
class Load:
    """What one wrk run did: requests answered, errors, and the server's CPU per request in microseconds."""

    requests: int
    bad: int
    cpu_us: float
    rate: float
    megabytes: float


@dataclass
class Case:
    """One request to load: the fake cloud's, and the route of the baselines that answers the same bytes."""

    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: str = ""
    script: str | None = None
    model_path: str = "/item"
    model: bool = True
    aim: str = ""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_mb(pid: int) -> float:
    """Resident memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def lua(case: Case) -> str:
    """The wrk script of a case."""
    lines = [f"wrk.method = {json.dumps(case.method)}"]
    lines += [
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in case.headers.items()
    ]
    if case.body:
        lines.append(f"wrk.body = {json.dumps(case.body)}")
    return "\n".join(lines) + "\n" + (case.script or "")


def load(pid: int, url: str, script: str, seconds: int, folder: Path) -> Load:
    """Load `url` for `seconds` and account the server's CPU."""
    file = folder / "load.lua"
    file.write_text(script)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", "-s", str(file)]
    subprocess.run([*command, "-d1s", url], check=True, capture_output=True)
    before = cpu_seconds(pid)
    out = subprocess.run([*command, f"-d{seconds}s", url], check=True, capture_output=True, text=True).stdout
    used = cpu_seconds(pid) - before
    requests = int(re.search(r"(\d+) requests in", out)[1])
    bad = int(found[1]) if (found := re.search(r"Non-2xx or 3xx responses: (\d+)", out)) else 0
    size, unit = re.search(r"Transfer/sec:\s+([\d.]+)(\w+)", out).groups()
    scale = {"B": 1e-6, "KB": 1e-3, "MB": 1.0, "GB": 1e3}[unit] * 1.024
    return Load(requests, bad, used / max(requests, 1) * 1e6, requests / seconds, float(size) * scale)


@contextlib.contextmanager
def baseline(program: str, sample: Path, tls: list[str]) -> Iterator[tuple[int, str]]:
    """A baseline server on a free port."""
    with contextlib.closing(__import__("socket").socket()) as probe:
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


def cases(world: dict) -> list[Case]:
    """The five requests of an agent's and an operator's day."""
    arm = {"Authorization": f"Bearer {world['owner_token']}", "Content-Type": "application/json"}
    item = f"{world['machines'][0]}?{VERSION}"
    beats = json.dumps([[m["path"], m["token"], m["instance"]] for m in world["onboarded"]])
    return [
        Case("GET machine", "GET", item, arm, aim="0.5 of (a), 2 x (b)"),
        Case(
            "PUT machine",
            "PUT",
            item,
            arm,
            body=json.dumps(world["put_body"]),
            aim="0.25 of (a)",
        ),
        Case(
            "list of 1,000",
            "GET",
            f"{world['group']}/providers/Microsoft.HybridCompute/machines?{VERSION}&$top=1000",
            arm,
            model_path="/list",
            aim="50 MB/s",
        ),
        Case(
            "heartbeat",
            "POST",
            world["onboarded"][0]["path"],
            {"Content-Type": "application/json"},
            script=HEARTBEATS.replace("@MACHINES@", beats.replace("[", "{").replace("]", "}")),
        ),
        Case(
            "token",
            "POST",
            f"/{world['tenant']}/oauth2/v2.0/token",
            {"Content-Type": "application/x-www-form-urlencoded"},
            body=world["token_form"],
            model=False,
        ),
    ]


HEARTBEATS = """
local machines = @MACHINES@
local turn, seq = 0, 100
request = function()
  turn = turn + 1
  if turn > #machines then turn = 1; seq = seq + 1 end
  local m = machines[turn]
  wrk.headers["Authorization"] = "Bearer " .. m[2]
  wrk.headers["x-arc-instance"] = m[3]
  local body = string.format(
    '{"instanceId":"%s","seq":%d,"status":"Connected","agentVersion":"1.67.0.0","metadataHash":"'
    .. string.rep("0", 64) .. '"}', m[3], seq)
  return wrk.format("POST", m[1], wrk.headers, body)
end
"""


def measure(cloud: RunningCloud, world: dict, seconds: int, tls: list[str], folder: Path) -> list[list[str]]:
    """All cases against the cloud and the baselines."""
    rows = []
    for case in cases(world):
        ours = load(cloud.process.pid, cloud.url + case.path, lua(case), seconds, folder)
        sample = folder / "sample.json"
        sample.write_bytes(world["samples"][case.name])
        with baseline("bare.py", sample, tls) as (pid, url):
            bare = load(pid, f"{url}/item", lua(case), seconds, folder)
        fast = None
        if case.model:
            with baseline("plain_fastapi.py", sample, tls) as (pid, url):
                fast = load(
                    pid,
                    url + case.model_path,
                    lua(case) if not case.script else lua_plain(case),
                    seconds,
                    folder,
                )
        rows.append(
            [
                case.name,
                f"{len(world['samples'][case.name]):,}",
                f"{ours.rate:,.0f}",
                f"{ours.bad}",
                f"{ours.cpu_us:,.0f}",
                f"{bare.cpu_us:,.0f}",
                f"{fast.cpu_us:,.0f}" if fast else "-",
                f"{bare.cpu_us / ours.cpu_us:.2f}",
                f"{fast.cpu_us / ours.cpu_us:.2f}" if fast else "-",
                f"{ours.megabytes:,.0f}",
                case.aim,
            ]
        )
    return rows


def lua_plain(case: Case) -> str:
    """The heartbeat as one fixed request, for a baseline that knows no machines."""
    body = '{"instanceId":"00000000-0000-4000-8000-000000000000","seq":1,"status":"Connected"}'
    return lua(Case(case.name, case.method, case.path, case.headers, body))


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--machines", type=int, default=1000)
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is missing: apt-get install wrk")
    console = Console(width=150)
    for tls in (False, True):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            arguments = ["--no-heartbeat-throttle", "--no-request-limits", "--log-level", "warning"]
            cloud = serve(folder / "state", *arguments, *([] if tls else ["--no-tls"]))
            try:
                world = onboard(cloud, options.machines)
                pair = [str(world["certificate"]), str(world["certificate_key"])] if tls else []
                table = Table(
                    title=f"CPU per request, {'TLS 1.3' if tls else 'no TLS'}, {CONNECTIONS} connections"
                )
                for column in (
                    "case",
                    "bytes",
                    "req/s",
                    "bad",
                    "us",
                    "us (a)",
                    "us (b)",
                    "of (a)",
                    "x (b)",
                    "MB/s",
                    "aim",
                ):
                    table.add_column(column, justify="left" if column in {"case", "aim"} else "right")
                for row in measure(cloud, world, options.seconds, pair, folder):
                    table.add_row(*row)
                console.print(table)
                console.print(f"fakecloud resident: {resident_mb(cloud.process.pid):.0f} MB")
            finally:
                cloud.stop()


if __name__ == "__main__":
    main()
