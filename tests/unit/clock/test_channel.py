"""The keeper's channel: processes elsewhere hold time, sleep, are woken, die and come back."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from arcbed_agent.clock import BedClock, CommandClock, SystemClock, open_clock
from arcbed_agent.errors import AgentError
from arcbed_cloud.clock import Channel, ClockStalledError, Keeper, listening

START = datetime(2026, 3, 1, tzinfo=UTC)
TICKER = """
import asyncio, sys
from arcbed_agent.clock import open_clock

async def main():
    async with open_clock({"clock.address": sys.argv[1], "clock.machine": "m"}, "ticker") as clock:
        async with clock.task("m/ticker/loop") as task:
            print("ready", flush=True)
            while True:
                await task.sleep(float(sys.argv[2]))
                print(clock.now().isoformat(), flush=True)

asyncio.run(main())
"""


class Bed:
    """A keeper with its channel on a Unix socket and on TCP."""

    def __init__(self, folder: Path, keeper: Keeper, roster: dict[str, Any] | None = None) -> None:
        self.keeper = keeper
        self.address = str(folder / "clock.sock")
        self.kept: list[dict[str, Any]] = []
        self.channel = Channel(keeper, seed="seed", token="secret", keep=self._keep, roster=roster)
        self.tcp = ""
        self._stack = AsyncExitStack()

    async def _keep(self, roster: dict[str, Any]) -> None:
        self.kept.append(roster)

    async def __aenter__(self) -> Self:
        Path(self.address).unlink(missing_ok=True)
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(self.address)
        unix.listen()
        tcp = socket.create_server(("127.0.0.1", 0))
        self.tcp = f"127.0.0.1:{tcp.getsockname()[1]}"
        await self._stack.enter_async_context(listening(self.channel, [unix, tcp]))
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.channel.close()
        await self._stack.aclose()
        await self.channel.written()

    async def clock(self, daemon: str = "himds", **settings: str) -> BedClock:
        """A process' clock; the hello blocks, so it is said in a thread."""
        known = {"clock.address": self.address, "clock.machine": "web-01"} | settings
        clock = await asyncio.to_thread(open_clock, known, daemon)
        assert isinstance(clock, BedClock)
        return clock

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until what arrives on sockets has made `condition` true."""
        async with asyncio.timeout(10):
            while not condition():
                await turn()


async def turn() -> None:
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.001, done.set_result, None)
    await done


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    async with Bed(tmp_path, Keeper("stepped", start=START, grace=0.5)) as made:
        yield made


@asynccontextmanager
async def ticker(bed: Bed, seconds: float = 60) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TICKER, bed.address, str(seconds), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_loop_elsewhere_meets_every_deadline_at_its_own_instant(bed: Bed) -> None:
    seen: list[datetime] = []
    async with await bed.clock() as clock:

        async def loop() -> None:
            async with clock.task("web-01/himds/heartbeat") as task:
                while True:
                    await task.sleep(300)
                    seen.append(clock.now())

        running = asyncio.create_task(loop())
        await bed.until(lambda: bool(bed.keeper.waiting))
        await bed.keeper.advance(days=1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert seen == [START + timedelta(minutes=5 * n) for n in range(1, 289)]


async def test_tasks_of_processes_and_timers_wake_in_one_order(bed: Bed) -> None:
    order: list[str] = []
    async with await bed.clock("himds") as one, await bed.clock("gcad") as other:

        async def loop(clock: BedClock, name: str) -> None:
            async with clock.task(name) as task:
                await task.sleep(60)
                order.append(name)

        loops = [
            asyncio.create_task(loop(one, "web-01/himds/z")),
            asyncio.create_task(loop(other, "web-01/gcad/b")),
            asyncio.create_task(loop(one, "web-01/himds/a")),
            asyncio.create_task(loop(other, "app-01/gcad/a")),
        ]
        bed.keeper.call_at(START + timedelta(seconds=60), "m/his/silence", lambda: order.append("timer"))
        await bed.until(lambda: len(bed.keeper.waiting) == 5)
        await bed.keeper.advance(minutes=2)
        await asyncio.gather(*loops)
    assert order == ["app-01/gcad/a", "timer", "web-01/gcad/b", "web-01/himds/a", "web-01/himds/z"]


async def test_event_between_tasks_of_a_process_never_lets_time_slip(bed: Bed) -> None:
    """A wakes B and sleeps at once; B's work happens at the instant at which it was woken."""
    seen: list[datetime] = []
    async with await bed.clock() as clock:
        wake = asyncio.Event()

        async def waker() -> None:
            async with clock.task("web-01/himds/a") as task:
                for _ in range(50):
                    await task.sleep(10)
                    wake.set()

        async def woken() -> None:
            async with clock.task("web-01/himds/b") as task:
                for _ in range(50):
                    assert await task.sleep_until(None, wake)
                    wake.clear()
                    seen.append(clock.now())
                    await task.sleep(0.5)

        loops = [asyncio.create_task(waker()), asyncio.create_task(woken())]
        await bed.until(lambda: len(bed.keeper.waiting) == 2)
        await bed.keeper.advance(minutes=10)
        await asyncio.gather(*loops)
    assert seen == [START + timedelta(seconds=10 * n) for n in range(1, 51)]


async def test_task_that_does_not_come_to_rest_is_named_and_time_stands(bed: Bed) -> None:
    async with await bed.clock() as clock, clock.task("web-01/himds/stuck"):
        with pytest.raises(ClockStalledError, match=r"clock stalled: web-01/himds/stuck running for 0\.5 s"):
            await bed.keeper.advance(hours=1)
    assert bed.keeper.now() == START


async def test_process_that_is_killed_releases_time(bed: Bed) -> None:
    async with ticker(bed) as process:
        await bed.until(lambda: bool(bed.keeper.waiting))
        await bed.keeper.advance(minutes=3)
        os.kill(process.pid, 9)
        await bed.until(lambda: not bed.channel.processes)
        await bed.keeper.advance(days=1)
    assert bed.keeper.waiting == []
    assert not bed.kept[-1]["m/ticker"]["there"]


async def test_process_that_stops_answering_is_named_and_goes_on_when_it_does(bed: Bed) -> None:
    async with ticker(bed) as process:
        await bed.until(lambda: bool(bed.keeper.waiting))
        os.kill(process.pid, 19)
        with pytest.raises(ClockStalledError, match="m/ticker/loop"):
            await bed.keeper.advance(minutes=2)
        assert bed.keeper.now() == START + timedelta(minutes=1)
        os.kill(process.pid, 18)
        await bed.keeper.advance(minutes=1)
        assert bed.keeper.now() == START + timedelta(minutes=2)


async def test_running_block_of_a_sleeping_task_holds_time(bed: Bed) -> None:
    async with await bed.clock() as clock:
        task = clock.task("web-01/himds/pushed")
        sleeping = asyncio.create_task(task.sleep_until(None, asyncio.Event()))
        await bed.until(lambda: not bed.keeper.running)
        with task.running():
            await clock.sync()
            assert bed.keeper.running == ["web-01/himds/pushed"]
        await bed.until(lambda: not bed.keeper.running)
        sleeping.cancel()
        await asyncio.gather(sleeping, return_exceptions=True)


async def test_cancelled_sleeper_runs_and_its_deadline_wakes_nobody(bed: Bed) -> None:
    async with await bed.clock() as clock, clock.task("web-01/himds/a") as task:
        sleeping = asyncio.create_task(task.sleep(60))
        await bed.until(lambda: not bed.keeper.running)
        sleeping.cancel()
        await asyncio.gather(sleeping, return_exceptions=True)
        await clock.sync()
        assert bed.keeper.running == ["web-01/himds/a"]


async def test_child_holds_time_from_before_it_starts_until_it_has_ended(bed: Bed) -> None:
    async with await bed.clock("gcad") as clock:
        async with clock.child("web-01/gcad/worker") as variables:
            assert variables == {"ARCBED_CLOCK_CHILD": "web-01/gcad/worker"}
            with pytest.raises(ClockStalledError, match="web-01/gcad/worker"):
                await bed.keeper.advance(hours=1)
        await bed.until(lambda: not bed.keeper.running)
        await bed.keeper.advance(hours=1)


async def test_child_with_a_line_of_its_own_sleeps_on_the_clock(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await bed.clock("gcad") as parent, parent.child("web-01/gcad/worker") as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        async with await bed.clock("worker") as own:

            async def work() -> None:
                async with own.task("web-01/worker/run") as task:
                    await task.sleep(90 * 60)

            working = asyncio.create_task(work())
            await bed.until(lambda: bool(bed.keeper.waiting) and not bed.keeper.running)
            await bed.keeper.advance(minutes=90)
            await working
        await bed.until(lambda: bed.keeper.running == ["web-01/gcad/worker"])


async def test_time_passes_while_a_child_runs_only_when_a_story_says_so(bed: Bed) -> None:
    async with await bed.clock("gcad") as clock, clock.child("web-01/gcad/worker"):
        bed.keeper.let_pass("web-01/gcad")
        await bed.keeper.advance(minutes=90)
        bed.keeper.let_pass()
        with pytest.raises(ClockStalledError, match="web-01/gcad/worker"):
            await bed.keeper.advance(minutes=1)


async def test_clock_stands_after_a_restart_until_known_processes_are_back(tmp_path: Path) -> None:
    async with Bed(tmp_path, Keeper("stepped", start=START, grace=0.5)) as first, ticker(first):
        await first.until(lambda: bool(first.keeper.waiting))
        await first.keeper.advance(minutes=3)
        roster, address = first.kept[-1], Path(first.address)
        assert roster["m/ticker"] == {"starts": 1, "there": True}
        first.channel.close()
        address.rename(tmp_path / "away")
        second = Bed(tmp_path, Keeper("stepped", start=START, grace=0.5), roster)
        with pytest.raises(ClockStalledError, match=r"m/ticker .not back since the control plane's restart."):
            await second.keeper.advance(minutes=1)
        async with second:
            await second.until(lambda: bool(second.keeper.waiting))
            assert second.keeper.now() == START + timedelta(minutes=3), "the machines know how far it had got"
            assert second.keeper.waiting == [("m/ticker/loop", START + timedelta(minutes=4))]
            await second.keeper.advance(minutes=2)


async def test_processes_that_never_come_back_can_be_given_up(tmp_path: Path) -> None:
    bed = Bed(tmp_path, Keeper("stepped", start=START, grace=0.5), {"m/gone": {"starts": 2, "there": True}})
    async with bed:
        assert bed.channel.missing == ["m/gone"]
        bed.channel.forget_missing()
        await bed.keeper.advance(hours=1)


async def test_flowing_time_flows_on_without_the_keeper(tmp_path: Path) -> None:
    async with Bed(tmp_path, Keeper("live")) as bed:
        clock = await bed.clock()
        async with clock, clock.task("web-01/himds/a") as task:
            sleeping = asyncio.create_task(task.sleep(0.2))
            await bed.until(lambda: bool(bed.keeper.waiting))
            bed.channel.close()
            Path(bed.address).rename(tmp_path / "away")
            async with asyncio.timeout(5):
                await sleeping


async def test_live_clock_that_is_advanced_takes_other_processes_along(tmp_path: Path) -> None:
    async with Bed(tmp_path, Keeper("live")) as bed, await bed.clock() as clock:
        await bed.keeper.advance(days=14)
        await clock.sync()
        assert abs(clock.now() - bed.keeper.now()) < timedelta(seconds=5)
        assert bed.keeper.now() - datetime.now(UTC) > timedelta(days=13)  # noqa: TID251 - real time is meant


async def test_flowing_time_stands_for_everybody_while_it_is_advanced(tmp_path: Path) -> None:
    seen: list[datetime | None] = []
    async with Bed(tmp_path, Keeper("live")) as bed, await bed.clock() as clock:

        async def loop() -> None:
            async with clock.task("web-01/gcad/consistency") as task:
                await task.sleep(60)
                seen.append(clock.standing)

        running = asyncio.create_task(loop())
        await bed.until(lambda: bool(bed.keeper.waiting))
        assert clock.standing is None
        await bed.keeper.advance(minutes=2)
        await running
        await clock.sync()
        assert clock.standing is None
    assert seen[0] is not None


async def test_each_start_of_a_daemon_draws_from_a_sequence_of_its_own_and_runs_are_alike(
    tmp_path: Path,
) -> None:
    drawn: list[list[float]] = []
    for _ in range(2):
        async with Bed(tmp_path, Keeper("stepped", start=START)) as bed:
            drawn.append([])
            for _ in range(2):
                async with await bed.clock() as clock:
                    drawn[-1].append(clock.chance.random())
                await bed.until(lambda bed=bed: not bed.channel.processes)
    assert drawn[0] == drawn[1]
    assert drawn[0][0] != drawn[0][1]


async def test_line_through_tcp_needs_the_token(bed: Bed, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="the clock's token is wrong"):
        await bed.clock(**{"clock.address": bed.tcp})
    token = tmp_path / "clock.token"
    token.write_text("secret\n")
    async with await bed.clock(**{"clock.address": bed.tcp, "clock.tokenFile": str(token)}) as clock:
        assert clock.now() == START


@pytest.mark.parametrize("line", [b"hello\n", b"{}\n", b"[1]\n", b'{"version":2}\n', b"x" * 1_100_000])
async def test_line_that_is_not_understood_is_told_so_and_holds_no_time(bed: Bed, line: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(bed.address)
    writer.write(line)
    assert b"error" in await reader.readline()
    writer.close()
    await bed.keeper.advance(seconds=1)


async def test_process_that_breaks_off_in_the_middle_of_its_hello_holds_no_time(bed: Bed) -> None:
    _, writer = await asyncio.open_unix_connection(bed.address)
    writer.write(b'{"version":1,"machine":"m","daemon":"d","fresh":true}\n')
    await bed.until(lambda: bed.keeper.running == ["m/d/start"])
    writer.close()
    await bed.until(lambda: not bed.keeper.running)
    await bed.keeper.advance(seconds=1)


async def test_command_holds_time_but_for_what_it_waits_for(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await bed.clock("story") as story, story.child("web-01/azcmagent") as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings = {"clock.address": bed.address, "clock.machine": "web-01"}
        command = await asyncio.to_thread(CommandClock, settings, "connect")
        assert bed.keeper.running == ["web-01/azcmagent/connect"]
        assert command.now() == START
        answered = threading.Event()

        def wait() -> None:
            with command.waiting():
                answered.wait(10)

        waiting = asyncio.create_task(asyncio.to_thread(wait))
        await bed.until(lambda: not bed.keeper.running)
        await bed.keeper.advance(seconds=30)
        answered.set()
        await waiting
        assert bed.keeper.running == ["web-01/azcmagent/connect"], "it holds time when the answer is there"
        command.__exit__()
        await bed.until(lambda: bed.keeper.running == ["web-01/azcmagent"])


def test_command_runs_on_the_machines_own_clock_where_the_keeper_is_away(tmp_path: Path) -> None:
    with CommandClock({"clock.address": str(tmp_path / "clock.sock")}, "show") as command:
        before = SystemClock().now()
        assert before <= command.now() <= SystemClock().now()
        with command.waiting():
            pass
