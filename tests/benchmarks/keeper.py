"""How fast a bed's time goes. Run this file; ``--write`` replaces KEEPER.md.

- task wake-ups a second in one process, with a thousand tasks;
- over the clock's channel (a Unix socket), with one process and with ten;
- simulated days a real second of one machine with its real agent over TLS: connected, and cut off; and what
  each process used of the CPU for one of them, which a busy computer changes less;
- what one call over TLS costs a client, by what it is made with.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import AF_UNIX, socket

import httpcore
import httpx
import uvloop
from probe import cpu_seconds

from arcbed.harness import Bed, CloudOptions
from arcbed.harness.tally import Tally
from arcbed_agent.clock import open_clock
from arcbed_agent.cloud.endpoints import CONTRACT
from arcbed_agent.cloud.streams import Connections
from arcbed_agent.cloud.transport import Transport, UnreachableError
from arcbed_agent.config import LocalConfig
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


@dataclass(frozen=True)
class Pace:
    """Simulated days a second, requests to the cloud a day, and seconds of CPU time a day by process."""

    days: float
    requests: int
    seconds: Mapping[str, float]

    def __str__(self) -> str:
        used = ", ".join(f"{name} {seconds:.2f}" for name, seconds in self.seconds.items())
        return f"{used}; {sum(self.seconds.values()):.2f} in all"


async def pace(length: float, *, connected: bool) -> Pace:
    """The pace of one machine that has been connected for an hour, with the network or without."""
    async with AsyncExitStack() as stack:
        bed = await stack.enter_async_context(
            Bed(CloudOptions(seed="bench", clock="stepped", start="2026-03-01"))
        )
        await bed.cloud.register()
        await bed.cloud.new_group("rg-arcbed")
        machine = await bed.machine("web-01", cuttable=not connected)
        done = await machine.connect()
        assert done.exit_code == 0, done.output
        await bed.advance(hours=1)
        if not connected:
            await stack.enter_async_context(machine.cut_off())
        daemons = {"himds": machine.host._himds, "gcad": machine.host._gcad, "extd": machine.host._extd}
        pids = {name: daemon._child.pid for name, daemon in daemons.items()}
        pids["cloud"] = bed.cloud.host._child.pid
        since = await bed.time.now()
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        began = time.perf_counter()
        until = await bed.advance(days=length)
        took = time.perf_counter() - began
        used = {name: (cpu_seconds(pid) - before[name]) / length for name, pid in pids.items()}
        asked = (await Tally(bed).events(since, until))["count"]
    return Pace(length / took, int(asked / length), used)


async def calls(count: int) -> dict[str, float]:
    """Milliseconds of this process' CPU time for one call over TLS, by client; the last two reach nobody."""
    async with Bed(CloudOptions(seed="bench")) as bed, AsyncExitStack() as stack:
        trusted = ssl.create_default_context(cafile=bed.cloud.env["caFile"])
        plain = await stack.enter_async_context(httpx.AsyncClient(verify=trusted, trust_env=False))
        bare = await stack.enter_async_context(httpcore.AsyncConnectionPool(ssl_context=trusted))
        ours = await stack.enter_async_context(
            httpcore.AsyncConnectionPool(ssl_context=trusted, network_backend=Connections())
        )
        agent = await stack.enter_async_context(
            Transport(LocalConfig({"tls.caBundle": bed.cloud.env["caFile"]}))
        )
        query = f"location=westeurope&api-version={CONTRACT}"
        url = f"{bed.cloud.env['armEndpoint']}/his/discovery?{query}"
        nobody = "https://127.0.0.1:1/"
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "httpx": lambda: plain.get(url),
            "bare httpcore": lambda: bare.request("GET", url),
            "bare httpcore, connections of the agent": lambda: ours.request("GET", url),
            "the agent's": lambda: agent.send("GET", url),
            "httpx, nobody answers": lambda: _in_vain(plain.get(nobody)),
            "the agent's, nobody answers": lambda: _in_vain(agent.send("GET", nobody)),
        }
        return {name: await _cost(way, count) for name, way in ways.items()}


async def _in_vain(call: Awaitable[object]) -> None:
    try:
        await call
    except (httpx.ConnectError, UnreachableError):
        return
    raise AssertionError("somebody answered")


async def _cost(call: Callable[[], Awaitable[object]], count: int) -> float:
    for _ in range(20):
        await call()
    began = time.process_time()
    for _ in range(count):
        await call()
    return 1_000 * (time.process_time() - began) / count


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
    for client, milliseconds in asyncio.run(calls(500)).items():
        row(f"client CPU a call over TLS: {client}", f"{milliseconds:.2f} ms", "-")
    there = asyncio.run(pace(options.days, connected=True))
    away = asyncio.run(pace(options.days, connected=False))
    asked = f"{there.days:.2f} ({there.requests:,} requests a day)"
    row("days a second, one connected machine over TLS", asked, "0.25")
    row("CPU seconds of such a day", str(there), "-")
    row("days a second, one machine that reaches nobody", f"{away.days:.2f}", "0.5")
    row("CPU seconds of such a day", str(away), "-")
    if options.write:
        head = (
            "# How fast a bed's time goes\n\n"
            f"Written by `tests/benchmarks/keeper.py --write` on {Keeper().now():%Y-%m-%d}: "
            f"{os.cpu_count()} cores; load average {load} (1, 5, 15 minutes)\nbefore it began. "
            "Agents run asyncio, the control plane uvloop.\n\n"
            "| what | figure | aim |\n|---|--:|--:|\n"
        )
        (HERE / "KEEPER.md").write_text(head + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
