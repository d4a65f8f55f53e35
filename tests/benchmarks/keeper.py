"""How fast a bed's time goes. Run this file; ``--write`` replaces KEEPER.md.

- task wake-ups a second in one process, with a thousand tasks;
- over the clock's channel (a Unix socket), with one process and with ten;
- simulated days a real second of one machine with its real agent over TLS: connected, and cut off.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import AF_UNIX, socket

import uvloop

from arcbed.harness import Bed, CloudOptions
from arcbed.harness.tally import Tally
from arcbed_agent.clock import open_clock
from arcbed_cloud.clock import Channel, Keeper, listening

HERE = Path(__file__).parent
START = datetime(2026, 3, 1, tzinfo=UTC)
WORKER = "--worker"


async def in_process(tasks: int, wakes: int) -> float:
    """Wake-ups a second of `tasks` loops in the keeper's own process."""
    keeper = Keeper("stepped", start=START)

    async def loop(number: int) -> None:
        async with keeper.task(f"machine-{number}/himds/heartbeat") as task:
            while True:
                await task.sleep(300 + number / 1_000)

    loops = [asyncio.create_task(loop(number)) for number in range(tasks)]
    await keeper.settled()
    began = time.perf_counter()
    await keeper.advance(timedelta(seconds=300.5) * (wakes // tasks))
    took = time.perf_counter() - began
    for one in loops:
        one.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
    return wakes / took


async def over_channel(processes: int, wakes: int) -> float:
    """Wake-ups a second of one loop in each of `processes` processes."""
    keeper = Keeper("stepped", start=START)

    async def keep(_roster: object) -> None:
        return None

    channel = Channel(keeper, seed="bench", token="", keep=keep)
    with tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/clock.sock"
        unix = socket(AF_UNIX)
        unix.bind(address)
        unix.listen()
        async with listening(channel, [unix]), AsyncExitStack() as stack:
            for number in range(processes):
                await stack.enter_async_context(_worker(address, number))
            while len(keeper.waiting) < processes:
                await asyncio.sleep(0.01)  # noqa: TID251 - for real processes
            began = time.perf_counter()
            await keeper.advance(seconds=60 * (wakes // processes))
            took = time.perf_counter() - began
            channel.close()
    return wakes / took


@asynccontextmanager
async def _worker(address: str, number: int):
    process = await asyncio.create_subprocess_exec(sys.executable, __file__, WORKER, address, str(number))
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def work(address: str, number: int) -> None:
    """One loop of one process, a wake-up every minute."""
    settings = {"clock.address": address, "clock.machine": f"m{number}"}
    async with open_clock(settings, "loop") as clock, clock.task(f"m{number}/loop/loop") as task:
        while True:
            await task.sleep(60)


@asynccontextmanager
async def onboarded(*, cuttable: bool):
    """A bed and its one machine, connected for an hour."""
    async with Bed(CloudOptions(seed="bench", clock="stepped", start="2026-03-01")) as bed:
        await bed.cloud.register()
        await bed.cloud.new_group("rg-arcbed")
        machine = await bed.machine("web-01", cuttable=cuttable)
        done = await machine.connect()
        assert done.exit_code == 0, done.output
        await bed.advance(hours=1)
        yield bed, machine


async def connected(length: float) -> tuple[float, int, float]:
    """Days a second, requests a day, milliseconds each."""
    async with onboarded(cuttable=False) as (bed, _):
        since = await bed.time.now()
        began = time.perf_counter()
        until = await bed.advance(days=length)
        took = time.perf_counter() - began
        asked = (await Tally(bed).events(since, until))["count"]
    return length / took, int(asked / length), 1_000 * took / asked


async def cut_off(length: float) -> float:
    """Days a second."""
    async with onboarded(cuttable=True) as (bed, machine), machine.cut_off():
        began = time.perf_counter()
        await bed.advance(days=length)
        return length / (time.perf_counter() - began)


def main() -> None:
    """Measure, print, and write if asked to."""
    if WORKER in sys.argv:
        asyncio.run(work(sys.argv[2], int(sys.argv[3])))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write KEEPER.md")
    parser.add_argument("--days", type=float, default=2.0, help="of one machine, connected and cut off")
    options = parser.parse_args()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    rows = []

    def row(what: str, figure: str, aim: str) -> None:
        rows.append(f"| {what} | {figure} | {aim} |")
        print(f"{what}: {figure}  (aim {aim})")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rate = runner.run(in_process(1_000, 50_000))
        row("wake-ups a second, in process, 1,000 tasks", f"{rate:,.0f}", "20,000")
        for processes, aim in ((1, "-"), (10, "4,000")):
            rate = runner.run(over_channel(processes, 10_000))
            row(f"wake-ups a second, channel, {processes} process(es)", f"{rate:,.0f}", aim)
    pace, requests, each = asyncio.run(connected(options.days))
    gone = asyncio.run(cut_off(options.days))
    row(
        "days a second, one connected machine over TLS",
        f"{pace:.2f} ({requests:,} requests a day, {each:.1f} ms each)",
        "0.25",
    )
    row("days a second, one machine that reaches nobody", f"{gone:.2f}", "0.5")
    if options.write:
        head = (
            "# How fast a bed's time goes\n\n"
            f"Written by `tests/benchmarks/keeper.py --write` on {Keeper().now():%Y-%m-%d}: "
            f"{os.cpu_count()} cores; load average {load} (1, 5, 15 minutes)\nbefore it began. "
            "Agents run asyncio and httpx, the control plane uvloop.\n\n"
            "| what | figure | aim |\n|---|--:|--:|\n"
        )
        (HERE / "KEEPER.md").write_text(head + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
