"""The controller of process trees on a clock of the test: when it looks, stops and lets run."""

from __future__ import annotations

import threading

import pytest

from arcbed_agent.governor.signals import IDLE, PERIOD, REST, RESTING, Tree


class Duty:
    """What a tree needs of its controller; the time is the test's."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def add(self, tree: Tree) -> None:
        """Nothing looks after it but the test."""

    def wake(self) -> None:
        """As above."""

    def members(self, _name: str) -> dict:
        return {}


def looks(monkeypatch, seconds: float, cores: float) -> tuple[float, list[float]]:
    """CPU seconds of a tree that takes `cores` while it may run, held to 5 %; and how long it ran unseen."""
    duty = Duty()
    tree = Tree("one", duty)
    used = 0.0
    monkeypatch.setattr(tree._account, "read", lambda _members: used)
    tree.make()
    tree.hold(0.05)
    tree.due, gaps = 0.002, []
    while duty.time < seconds:
        if not tree._standing:
            used += cores * (tree.due - duty.time)
            gaps.append(tree.due - duty.time)
        duty.time = tree.due
        tree.turn({}, duty.time)
    return used, gaps


@pytest.mark.parametrize("cores", [1.0, 2.0])
def test_a_tree_that_burns_for_minutes_is_still_looked_at_often_and_keeps_its_limit(monkeypatch, cores):
    used, gaps = looks(monkeypatch, 10 * RESTING, cores)
    assert used == pytest.approx(0.05 * 10 * RESTING, rel=0.02)
    # Each look comes before it can overspend by more than a period's share; while it stood it used nothing,
    # and that must not count as rest.
    assert max(gaps) <= 1.01 * 0.05 * PERIOD


def test_a_tree_that_uses_nothing_is_looked_at_less_often_after_half_a_minute(monkeypatch):
    used, gaps = looks(monkeypatch, 2 * RESTING, 0.0)
    assert used == 0
    assert max(gaps[: int(RESTING / IDLE) // 2]) <= 1.01 * IDLE
    assert gaps[-2] == pytest.approx(REST)
