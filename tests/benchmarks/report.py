"""Results for people: on the terminal, and as a page."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cases import Case, Figures
from idle import Idle, Start
from loading import CONNECTIONS
from probe import machine
from rich.console import Console
from rich.table import Table

COLUMNS = ("case", "bytes", "req/s", "MB/s", "us", "us (a)", "us (b)", "of (a)", "x (b)", "aim")
METHOD = f"""\
wrk has one thread and {CONNECTIONS} connections; ours and the baselines take turns. CPU is that of the server
process, from `/proc`, so the client's does not count. Every request goes through the full stack: token, role,
durable state. Baselines: (a) a bare ASGI application under uvicorn that answers the same bytes, head and
body; (b) a plain FastAPI route with a response model that answers the same document. `of (a)` is (a)'s CPU
over ours, `x (b)` is (b)'s over ours.
"""
LIMITS = """\
## What limits them

Shares were measured in process, with uvicorn's protocol but without sockets, where (a) takes about 15 us. The
kernel adds about as much again, for us as for (a).

- **GET**, 36 us there: the fifteen headers of an answer cost 7 us in uvicorn, which checks each with two
  regular expressions; (a) has them too, (b) writes three. 14 us are what every call passes, a look-up or two
  each: host, path and query, token, api-version, subscription, request limits, role, resource group, row.
  (b) has none of that. Twice (b) would leave those steps 10 us beside uvicorn and the kernel, which are (a).
- **PUT**, 120 us there: what every call passes and reading the body 45, the domain (check, merge, render) 16,
  making it durable 17 for waiting until the commit of all 32 is done and 15 to 25 for this one's share of it,
  the entry of the activity log 12 to 17. It is Python throughout; nothing of it stands out.
- **list**: joining bytes that are ready, and copying them to the kernel.
- **heartbeat**: like a PUT, with a body that pydantic checks and without FastAPI's routing.
- **token**: one RSA-2048 signature, 260 us of OpenSSL, and FastAPI's routing.
- **TLS** adds its own to all, in uvloop's and OpenSSL's memory buffers, and most to large answers.
"""


@dataclass
class Results:
    """All of one run."""

    seconds: int
    rounds: int
    tables: dict[str, list[tuple[Case, int, Figures]]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    start: Start | None = None
    idle: Idle | None = None


def _verdict(text: str, *, met: bool) -> str:
    return f"{text}: {'met' if met else 'not met'}"


def _cells(case: Case, size: int, seen: Figures, *, judged: bool) -> list[str]:
    fast = seen.fast
    aims = [_verdict(aim.text, met=aim.met(seen)) for aim in case.aims] if judged else []
    return [
        case.name,
        f"{size:,}",
        f"{seen.ours.rate:,.0f}",
        f"{seen.ours.megabytes:,.0f}",
        f"{seen.ours.cpu_us:,.0f}",
        f"{seen.bare.cpu_us:,.0f}",
        f"{fast.cpu_us:,.0f}" if fast else "-",
        f"{seen.of_bare:.2f}",
        f"{seen.of_fast:.2f}" if fast else "-",
        "; ".join(aims),
    ]


def _idle_lines(results: Results) -> list[str]:
    lines = []
    if found := results.start:
        ready = _verdict("aim 1.5 s", met=found.first <= 1.5)
        small = _verdict("aim 100 MB", met=found.megabytes < 100)
        lines.append(
            f"fakecloud is ready {found.first:.2f} s after its first start ({ready}) and {found.again:.2f} s "
            f"after a later one, with {found.megabytes:.0f} MB resident ({small})"
        )
    lines += [
        f"fakecloud after the load, with 1,000 machines, {name}: {megabytes:.0f} MB resident"
        for name, megabytes in results.memory.items()
    ]
    if watched := results.idle:
        small = _verdict("aim 60 MB", met=watched.megabytes <= 60)
        quiet = _verdict("aim 0.05 %", met=watched.per_cent <= 0.05)
        lines.append(
            f"himds of an onboarded, idle machine: {watched.megabytes:.0f} MB resident ({small}), "
            f"{watched.per_cent:.3f} % of a core over {watched.seconds:.0f} s ({quiet})"
        )
    return lines


def show(results: Results, console: Console) -> None:
    """Print."""
    for name, rows in results.tables.items():
        table = Table(title=f"Server CPU per request, {name}, {CONNECTIONS} connections")
        for column in COLUMNS:
            table.add_column(column, justify="left" if column in {"case", "aim"} else "right")
        for case, size, seen in rows:
            table.add_row(*_cells(case, size, seen, judged=name == "no TLS"))
        console.print(table)
    for line in _idle_lines(results):
        console.print(line, highlight=False)


def write(results: Results, file: Path) -> None:
    """Write the page."""
    now = datetime.now(UTC)  # noqa: TID251 - the day of a measurement
    parts = [
        "# Benchmark results\n",
        f"Written by `tests/benchmarks/run.py --write` on {now:%Y-%m-%d}: {machine()}.\n",
        f"Each figure is the median of {results.rounds} rounds of {results.seconds} s. {METHOD}",
    ]
    for name, rows in results.tables.items():
        parts += [f"## Server CPU per request, {name}\n", f"| {' | '.join(COLUMNS)} |"]
        parts.append(
            "|" + "|".join("---" if column in {"case", "aim"} else "--:" for column in COLUMNS) + "|"
        )
        for case, size, seen in rows:
            parts.append(f"| {' | '.join(_cells(case, size, seen, judged=name == 'no TLS'))} |")
        parts.append("")
    parts += ["## Standing still\n", *(f"- {line}" for line in _idle_lines(results)), "", LIMITS]
    file.write_text("\n".join(parts))
