"""What the control plane and himds cost. Run: make bench, or this file with ``--help``. Needs wrk.

Each request is loaded by wrk and measured by the kernel's own account of the server process, beside two
baselines that answer the same bytes in the same run: (a) a bare ASGI application, (b) a plain FastAPI route
with a response model.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "support"))
import idle  # noqa: E402
import report  # noqa: E402
from cases import Case, Figures, cases  # noqa: E402
from loading import Load, Server, baseline, load  # noqa: E402
from onboarded import onboard  # noqa: E402
from probe import resident_mb  # noqa: E402
from running import RunningCloud, serve  # noqa: E402

FLAGS = ("--no-heartbeat-throttle", "--no-request-limits", "--log-level", "warning")


@contextlib.contextmanager
def _servers(case: Case, cloud: RunningCloud, sample: Path, tls: list[str]) -> Iterator[list[Server]]:
    """Ours, (a), and (b) if it has such a route."""
    with contextlib.ExitStack() as stack:
        servers = [Server(cloud.process.pid, cloud.url + case.path, case.script)]
        pid, url = stack.enter_context(baseline("bare.py", sample, tls))
        servers.append(Server(pid, f"{url}/item", case.plain_script))
        if case.model_path is not None:
            pid, url = stack.enter_context(baseline("plain_fastapi.py", sample, tls))
            servers.append(Server(pid, url + case.model_path, case.plain_script))
        yield servers


def _middle(loads: list[Load]) -> Load:
    """Each figure's median; refusals are added up."""
    return Load(
        sum(entry.bad for entry in loads),
        *(
            statistics.median(getattr(entry, name) for entry in loads)
            for name in ("cpu_us", "rate", "megabytes")
        ),
    )


def measure(case: Case, cloud: RunningCloud, sample: Path, tls: list[str], options: Any) -> Figures:
    """One case, in turns with the baselines, since a shared machine is not equally fast all the time."""
    with _servers(case, cloud, sample, tls) as servers:
        rounds = [
            [load(server, options.seconds, sample.parent) for server in servers]
            for _ in range(options.rounds)
        ]
    ours, bare, *fast = (_middle(list(loads)) for loads in zip(*rounds, strict=True))
    if ours.bad:
        raise SystemExit(f"{case.name}: {ours.bad} requests were refused, so its figures mean nothing")
    return Figures(ours, bare, fast[0] if fast else None)


def loaded(results: report.Results, options: Any, *, tls: bool) -> None:
    """All cases against one control plane."""
    name = "TLS 1.3" if tls else "no TLS"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        cloud = serve(folder / "state", *FLAGS, *([] if tls else ["--no-tls"]))
        try:
            world = onboard(cloud, options.machines)
            pair = [str(world["certificate"]), str(world["certificate_key"])] if tls else []
            rows = results.tables.setdefault(name, [])
            for case in cases(world):
                if options.only and case.name.split()[0].lower() not in options.only:
                    continue
                sample = folder / "sample.json"
                answer = world["samples"][case.name]
                sample.write_bytes(answer.content)
                sample.with_suffix(".head").write_text(json.dumps(answer.headers.multi_items()))
                rows.append((case, sample.stat().st_size, measure(case, cloud, sample, pair, options)))
            results.memory[name] = resident_mb(cloud.process.pid)
        finally:
            cloud.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=3, help="of load a round")
    parser.add_argument("--rounds", type=int, default=3, help="whose median counts")
    parser.add_argument("--machines", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=1.0, help="that himds is watched; 0: not at all")
    parser.add_argument("--only", nargs="*", help="get, put, list, heartbeat, token")
    parser.add_argument("--no-tls-table", action="store_true", help="leave the load over TLS out")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md")
    return parser.parse_args()


def main() -> None:
    """Measure, print, and write if asked to."""
    options = _options()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is missing: apt-get install wrk")
    results = report.Results(options.seconds, options.rounds)
    for tls in (False,) if options.no_tls_table else (False, True):
        loaded(results, options, tls=tls)
    if not options.only:
        results.start = idle.start()
        if options.minutes:
            results.idle = asyncio.run(idle.himds(options.minutes * 60))
    report.show(results, Console(width=170))
    if options.write:
        report.write(results, HERE / "RESULTS.md")


if __name__ == "__main__":
    main()
