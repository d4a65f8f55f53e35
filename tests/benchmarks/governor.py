"""What limiting CPU costs, on every back end of this machine. Run this file; ``--write`` renews GOVERNOR.md.

Start: from the call to the exit of ``/bin/true``, beside asyncio's own subprocess, in turns. Running: CPU of
the daemon, all its threads, while groups of one throttled burner and groups of one idle process run; those
below are the daemon's children, and do not count.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from arcbed_agent.clock import SystemClock
from arcbed_agent.governor import BACK_ENDS, Governor, Limit, Wishes, choose

HERE = Path(__file__).parent
STARTS, GROUPS, SECONDS, CHILDREN = 40, 4, 20, 200
BURN = ["sh", "-c", "while :; do :; done"]
REST = ["sleep", "1000"]
BOMB = [
    "sh",
    "-c",
    f"i=0; while [ $i -lt {CHILDREN} ]; do sh -c 'while :; do :; done' & i=$((i+1)); done; wait",
]


@dataclass
class Costs:
    """Of one back end.

    Args:
        start_ms: median, more than asyncio's own.
        busy: percent of a core for each group with a burner at 5 %.
        idle: the same for a group in which nothing runs.
        bomb: percent of a core for one group of `CHILDREN` burners at 5 % together.
        account_us: one reading of a group's account.
    """

    name: str
    start_ms: float
    busy: float
    idle: float
    bomb: float
    account_us: float

    def row(self) -> str:
        """A row of the table."""
        aim = 2.0 if self.name == "signals" else 0.1
        met = "met" if max(self.busy, self.idle) < aim and self.start_ms < 30 else "not met"
        running = f"{self.busy:.3f} | {self.idle:.3f} | {self.bomb:.2f}"
        figures = f"{self.start_ms:.1f} | {running} | {self.account_us:.0f}"
        return f"| {self.name} | {figures} | 30 ms, {aim} %: {met} |"


async def plain() -> float:
    """Seconds of starting and ending a process without a governor."""
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        "/bin/true", stdin=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    await process.wait()
    return time.perf_counter() - begun


async def governed(governor: Governor) -> float:
    """The same in a group of its own, which is made and removed."""
    begun = time.perf_counter()
    await (await governor.launch(["/bin/true"], name="start", limit=Limit(5))).wait()
    return time.perf_counter() - begun


async def starts(governor: Governor) -> float:
    """Milliseconds more than without, the median."""
    more = []
    for _ in range(STARTS):
        without = await plain()
        more.append(await governed(governor) - without)
    return statistics.median(more) * 1000


async def running(governor: Governor, command: list[str], groups: int = GROUPS) -> float:
    """Percent of a core that the daemon takes for each group."""
    for number in range(groups):
        await governor.launch(command, name=f"group{number}", limit=Limit(5))
    await asyncio.sleep(2 if groups > 1 else 10)  # noqa: TID251 - what starting cost is over
    begun, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(SECONDS)  # noqa: TID251 - the span that is measured
    spent = 100 * (time.process_time() - used) / (time.perf_counter() - begun)
    for number in range(groups):
        await governor.end(f"group{number}")
    return spent / groups


async def account(governor: Governor) -> float:
    """Microseconds of one reading."""
    command = await governor.launch(REST, name="read", limit=Limit(5))
    begun = time.perf_counter()
    for _ in range(200):
        command.usage()
    spent = time.perf_counter() - begun
    await command.kill()
    return spent / 200 * 1e6


async def measure(name: str) -> Costs | str:
    """The costs of a back end, or why it is not there."""
    governor = await choose(Wishes(backend=name), owner="bench", root=HERE, clock=SystemClock())
    try:
        if governor.choice.backend != name:
            return dict(governor.choice.refused)[name]
        return Costs(
            name,
            await starts(governor),
            await running(governor, BURN),
            await running(governor, REST),
            await running(governor, BOMB, groups=1),
            await account(governor),
        )
    finally:
        await governor.close()


def page(found: dict[str, Costs | str]) -> str:
    """All of it in Markdown."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    day = datetime.now(UTC).date()  # noqa: TID251 - a date for people
    where = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    lines = [
        "# What limiting CPU costs\n",
        f"Written by `tests/benchmarks/governor.py --write` on {day}: {where}; load average {load}.\n",
        f"Start: median of {STARTS}. Running: {GROUPS} groups for {SECONDS} s, percent of a core for each.\n",
        (
            "| back end | start, ms more | busy group, % | idle group, % "
            f"| {CHILDREN} burners, % | account, us | aim |"
        ),
        "|---|--:|--:|--:|--:|--:|---|",
        *(costs.row() for costs in found.values() if isinstance(costs, Costs)),
        "",
        *(f"- not measured: {name}: {why}" for name, why in found.items() if isinstance(why, str)),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write GOVERNOR.md")
    options = parser.parse_args()
    found = {name: asyncio.run(measure(name)) for name in BACK_ENDS}
    text = page(found)
    print(text)
    if options.write:
        (HERE / "GOVERNOR.md").write_text(text)


if __name__ == "__main__":
    main()
