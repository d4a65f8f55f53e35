"""The time keeper: time moves only while everybody sleeps, and nothing on the way is skipped."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.turns import turn

from arcbed_cloud.clock import ClockStalledError, Keeper

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def keeper() -> Keeper:
    return Keeper("stepped", start=START, grace=0.2)


async def test_stepped_clock_stands_until_it_is_advanced(keeper: Keeper) -> None:
    assert keeper.now() == START
    await keeper.advance(days=14, hours=1)
    assert keeper.now() == START + timedelta(days=14, hours=1)


async def test_timers_fire_in_order_of_deadline_and_name_at_their_own_instant(keeper: Keeper) -> None:
    fired: list[tuple[str, float]] = []
    for name, due in (("b", 20), ("a/2", 10), ("a/1/x", 10), ("late", 40), ("a/1", 10)):
        keeper.call_at(
            START + timedelta(seconds=due),
            name,
            lambda name=name: fired.append((name, (keeper.now() - START).total_seconds())),
        )
    await keeper.advance(seconds=30)
    assert fired == [("a/1", 10), ("a/1/x", 10), ("a/2", 10), ("b", 20)]
    assert keeper.now() == START + timedelta(seconds=30)


async def test_timer_set_again_replaces_the_first_and_a_cancelled_one_is_gone(keeper: Keeper) -> None:
    fired: list[str] = []
    keeper.call_at(START + timedelta(seconds=10), "t", lambda: fired.append("first"))
    keeper.call_at(START + timedelta(seconds=20), "t", lambda: fired.append("second"))
    keeper.call_at(START + timedelta(seconds=5), "gone", lambda: fired.append("gone"))
    keeper.cancel("gone")
    keeper.cancel("never there")
    assert keeper.due("t") == START + timedelta(seconds=20)
    await keeper.advance(minutes=1)
    assert fired == ["second"]
    assert keeper.due("t") is None


async def test_timer_that_sets_itself_again_meets_every_period_of_a_long_jump(keeper: Keeper) -> None:
    beats: list[datetime] = []

    def beat() -> None:
        beats.append(keeper.now())
        keeper.call_at(keeper.now() + timedelta(minutes=5), "beat", beat)

    keeper.call_at(START + timedelta(minutes=5), "beat", beat)
    await keeper.advance(days=14)
    assert len(beats) == 14 * 24 * 12
    assert beats[-1] == START + timedelta(days=14)


async def test_loop_sleeps_through_time_and_advance_returns_when_it_sleeps_again(keeper: Keeper) -> None:
    seen: list[datetime] = []

    async def loop() -> None:
        async with keeper.task("m/d/loop") as task:
            while True:
                await task.sleep(60)
                await turn()  # some work
                seen.append(keeper.now())

    running = asyncio.create_task(loop())
    await turn()
    await keeper.advance(minutes=3)
    assert seen == [START + timedelta(minutes=minute) for minute in (1, 2, 3)]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert keeper.running == []


async def test_task_that_runs_too_long_is_named_and_time_stays(keeper: Keeper) -> None:
    hung = keeper.task("web-01/extd/enable")
    with pytest.raises(ClockStalledError, match="clock stalled: web-01/extd/enable running"):
        await keeper.advance(hours=1)
    assert keeper.now() == START
    async with hung:
        pass
    await keeper.advance(hours=1)
    assert keeper.now() == START + timedelta(hours=1)


async def test_event_wakes_a_sleeper_before_its_deadline(keeper: Keeper) -> None:
    wake = asyncio.Event()
    woken: list[tuple[bool, datetime]] = []

    async def loop() -> None:
        async with keeper.task("m/d/loop") as task:
            woken.append((await task.sleep_until(START + timedelta(hours=1), wake), keeper.now()))

    running = asyncio.create_task(loop())
    await turn()
    keeper.call_at(START + timedelta(minutes=1), "push", wake.set)
    await keeper.advance(minutes=2)
    await running
    assert woken == [(True, START + timedelta(minutes=1))]


async def test_event_set_before_the_sleep_is_not_lost(keeper: Keeper) -> None:
    wake = asyncio.Event()
    wake.set()
    async with keeper.task("m/d/loop") as task:
        assert await task.sleep_until(None, wake) is True
        assert keeper.running == ["m/d/loop"]


async def test_time_does_not_slip_between_a_message_and_its_receiver(keeper: Keeper) -> None:
    """A task that sets an event and goes to sleep at once: the receiver runs at the same instant."""
    push = asyncio.Event()
    received: list[datetime] = []

    async def sender() -> None:
        async with keeper.task("a/sender") as task:
            await task.sleep(60)
            push.set()
            await task.sleep(3600)

    async def receiver() -> None:
        async with keeper.task("b/receiver") as task:
            await task.sleep_until(None, push)
            received.append(keeper.now())
            await task.sleep(3600)

    tasks = [asyncio.create_task(sender()), asyncio.create_task(receiver())]
    await turn()
    keeper.call_at(START + timedelta(seconds=61), "next", lambda: None)
    await keeper.advance(hours=1)
    assert received == [START + timedelta(seconds=60)]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_time_does_not_slip_while_a_message_is_handed_on(keeper: Keeper) -> None:
    """Each of some tasks wakes the next one and goes to sleep at once: the last runs at the same instant."""
    pushes = [asyncio.Event() for _ in range(6)]
    received: list[datetime] = []

    async def runner(number: int) -> None:
        async with keeper.task(f"a/runner/{number}") as task:
            await task.sleep_until(None, pushes[number])
            received.append(keeper.now())
            if number + 1 < len(pushes):
                pushes[number + 1].set()
            await task.sleep(3600)

    tasks = [asyncio.create_task(runner(number)) for number in range(len(pushes))]
    await turn()
    keeper.call_at(START + timedelta(seconds=60), "first", pushes[0].set)
    for second in range(61, 70):
        keeper.call_at(START + timedelta(seconds=second), f"next/{second}", lambda: None)
    await keeper.advance(seconds=70)
    assert received == [START + timedelta(seconds=60)] * len(pushes)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_sleeping_task_can_hold_time_for_work_from_outside(keeper: Keeper) -> None:
    task = keeper.task("a/b/c")

    async def loop() -> None:
        async with task:
            await task.sleep(3600)

    sleeping = asyncio.create_task(loop())
    await turn()
    with task.running(), pytest.raises(ClockStalledError):
        await keeper.advance(hours=2)
    await keeper.advance(hours=2)
    await sleeping


async def test_live_clock_flows_and_can_jump(keeper: Keeper) -> None:
    live = Keeper()
    before = live.now()
    fired = asyncio.Event()
    live.call_at(before + timedelta(days=1), "far", fired.set)
    runner = asyncio.create_task(live.run())
    await live.advance(days=2)
    assert fired.is_set()
    assert timedelta(days=2) <= live.now() - before < timedelta(days=2, minutes=1)
    assert abs(live.wall() - before.timestamp()) < 60
    soon = asyncio.Event()
    live.call_at(live.now() + timedelta(milliseconds=5), "soon", soon.set)
    await asyncio.wait_for(soon.wait(), 5)
    runner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await runner


async def test_flowing_time_stands_as_soon_as_it_is_to_be_advanced_whoever_still_runs() -> None:
    live, standing = Keeper(), asyncio.Event()
    live.listen(lambda: standing.set() if live.standing else standing.clear())
    async with live.task("web-01/gcad/worker"):
        advancing = asyncio.create_task(live.advance(hours=1))
        async with asyncio.timeout(10):
            await standing.wait()
        assert not advancing.done()
    await advancing
    assert not standing.is_set()


async def test_timer_that_breaks_does_not_stop_a_live_clock() -> None:
    live = Keeper()
    after = asyncio.Event()

    def broken() -> None:
        raise RuntimeError("broken timer")

    live.call_at(live.now(), "broken", broken)
    live.call_at(live.now() + timedelta(milliseconds=1), "later", after.set)
    runner = asyncio.create_task(live.run())
    await asyncio.wait_for(after.wait(), 5)
    runner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await runner


async def test_advancing_by_nothing_fires_what_is_due_now(keeper: Keeper) -> None:
    fired: list[int] = []
    keeper.call_at(START, "now", lambda: fired.append(1))
    await keeper.advance()
    assert fired == [1]


async def test_clock_can_be_set_back_for_a_restored_state(keeper: Keeper) -> None:
    await keeper.advance(days=1)
    keeper.move_to(START)
    assert keeper.now() == START


@settings(max_examples=100, deadline=None)
@given(
    dues=st.lists(st.tuples(st.integers(0, 50), st.sampled_from("abcd")), max_size=12),
    jumps=st.lists(st.integers(0, 20), min_size=1, max_size=6),
)
def test_however_time_is_cut_into_jumps_the_same_timers_fire_in_the_same_order(
    dues: list[tuple[int, str]], jumps: list[int]
) -> None:
    async def run(steps: list[int]) -> list[tuple[int, str]]:
        keeper = Keeper("stepped", start=START)
        fired: list[tuple[int, str]] = []
        for index, (due, name) in enumerate(dues):
            key = f"{name}/{index}"
            keeper.call_at(
                START + timedelta(seconds=due),
                key,
                lambda due=due, key=key: fired.append((due, key)),
            )
        for step in steps:
            await keeper.advance(seconds=step)
        assert all(due <= sum(steps) for due, _ in fired)
        return fired

    assert asyncio.run(run(jumps)) == asyncio.run(run([sum(jumps)]))
