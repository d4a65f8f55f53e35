"""The timers of many machines stay few."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from arcbed_cloud.clock import Keeper


def test_machines_that_come_and_go_leave_no_heap_behind():
    clock = Keeper("stepped", start=datetime(2026, 3, 1, tzinfo=UTC))
    expiry = clock.now() + timedelta(days=90)
    kept = [f"kept-{number}/his/expiry" for number in range(10)]
    for key in kept:
        clock.call_at(expiry, key, lambda: None)
    for number in range(20_000):
        clock.call_at(expiry, f"{number}/his/expiry", lambda: None)
        clock.cancel(f"{number}/his/expiry")
    assert len(clock._agenda) < 3_000
    assert all(clock.due(key) == expiry for key in kept)


async def test_timers_fire_in_order_after_the_heap_was_swept():
    clock = Keeper("stepped", start=datetime(2026, 3, 1, tzinfo=UTC))
    fired = []
    for number in range(3_000):
        due = clock.now() + timedelta(seconds=3_000 - number)
        clock.call_at(due, f"{number:04}/x/y", lambda number=number: fired.append(number))
    for number in range(3_000):
        if number % 10:
            clock.cancel(f"{number:04}/x/y")
    await clock.advance(hours=1)
    assert fired == list(range(2_990, -1, -10))
