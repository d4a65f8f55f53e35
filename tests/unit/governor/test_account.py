"""The account of a process tree that is not a cgroup: every CPU second counts once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed_agent.governor import account
from arcbed_agent.governor.processes import Member


class Machine:
    """Processes that work, end, and are waited for by their parents or by the daemon."""

    def __init__(self):
        self.own = {1: 0.0}
        self.waited = {1: 0.0}
        self.parent = {1: 0}
        self.true = 0.0
        self.account = account.Account()

    def fork(self, parent):
        pid = max(self.own) + 1 if self.own else 1
        self.own[pid], self.waited[pid], self.parent[pid] = 0.0, 0.0, parent
        return pid

    def work(self, pid, seconds):
        self.own[pid] += seconds
        self.true += seconds

    def end(self, pid):
        """The parent waits for it; a parent that is gone leaves that to the daemon."""
        own, waited = self.own.pop(pid), self.waited.pop(pid)
        if (parent := self.parent[pid]) in self.own:
            self.waited[parent] += own + waited
        else:
            self.account.waited_for(pid, own + waited, waited)

    def read(self):
        members = {pid: Member(pid, "S", self.parent[pid], 1, pid, self.waited[pid]) for pid in self.own}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(account, "cpu_seconds", lambda pid: self.own[pid])
            return self.account.read(members)


def test_children_that_ended_between_two_readings_count_once_though_their_parent_is_gone_too():
    machine = Machine()
    children = [machine.fork(1), machine.fork(1)]
    for child in children:
        machine.work(child, 0.15)
    machine.read()
    for child in (*children, 1):
        machine.work(child, 0.05)
        machine.end(child)

    assert machine.read() == pytest.approx(machine.true)


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["fork", "work", "end", "read"]), st.integers(0, 30)), min_size=5, max_size=60
)


@given(ACTIONS)
def test_account_never_falls_and_never_counts_more_than_was_used(actions):
    machine, before = Machine(), 0.0
    for action, which in actions:
        pids = sorted(machine.own)
        if not pids:
            break
        pid = pids[which % len(pids)]
        if action == "fork":
            machine.fork(pid)
        elif action == "work":
            machine.work(pid, 0.01)
        elif action == "end":
            machine.end(pid)
        else:
            now = machine.read()
            assert before <= now <= machine.true + 1e-9
            before = now


@given(ACTIONS)
def test_account_is_exact_when_it_is_read_after_every_event(actions):
    machine = Machine()
    for action, which in actions:
        pids = sorted(machine.own)
        if not pids:
            break
        pid = pids[which % len(pids)]
        if action == "fork":
            machine.fork(pid)
        elif action == "work":
            machine.work(pid, 0.01)
        elif action == "end":
            machine.end(pid)
        assert machine.read() == pytest.approx(machine.true)
