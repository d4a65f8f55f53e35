"""What costs while nothing is asked: starting the control plane, and himds of an idle machine."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from probe import cpu_seconds, fine_cpu_seconds, resident_mb
from running import launch

from arcbed.harness.bed import Bed
from arcbed_agent.himds.client import HimdsClient
from arcbed_agent.host.layout import Layout

STARTS = 5


@dataclass
class Start:
    """Seconds until `fakecloud serve` said that it is ready (median), and its resident memory then, in MB."""

    first: float
    again: float
    megabytes: float


def start() -> Start:
    """Start the control plane on empty folders, and each time once more on the state that is there then."""
    first, again, sizes = [], [], []
    for _ in range(STARTS):
        with tempfile.TemporaryDirectory() as name:
            for seconds in (first, again):
                begun = time.perf_counter()
                process = launch(Path(name) / "state")
                seconds.append(time.perf_counter() - begun)
                sizes.append(resident_mb(process.pid))
                process.terminate()
                process.communicate(timeout=20)
    return Start(statistics.median(first), statistics.median(again), max(sizes))


@dataclass
class Idle:
    """himds of an onboarded machine that nobody asks: MB resident, and per cent of a core over `seconds`."""

    seconds: float
    megabytes: float
    per_cent: float


async def himds(seconds: float) -> Idle:
    """Onboard a machine against a control plane of its own, and watch its himds at its usual pace."""
    async with Bed() as bed:
        await bed.cloud.register()
        machine = await bed.machine("idle", resource_group=await bed.cloud.new_group())
        done = await machine.connect()
        if done.exit_code:
            raise SystemExit(f"azcmagent connect failed\n{done.output}")
        pid = HimdsClient(Layout(machine.root)).status().pid
        await asyncio.sleep(5)  # noqa: TID251 - until what connecting set off is over
        begun, coarse, fine = time.perf_counter(), cpu_seconds(pid), fine_cpu_seconds(pid)
        await asyncio.sleep(seconds)  # noqa: TID251 - the span that is measured
        # The scheduler counts finely but forgets threads that ended; the process's own account does not.
        used = max(fine_cpu_seconds(pid) - fine, cpu_seconds(pid) - coarse)
        spent = time.perf_counter() - begun
        return Idle(spent, resident_mb(pid), used / spent * 100)
