"""There is one daemon of a kind for a machine."""

from __future__ import annotations

import pytest

from arcbed_agent.errors import AgentError
from arcbed_agent.host.layout import Layout
from arcbed_agent.host.lock import is_held, take_lock


def test_second_daemon_of_a_kind_is_refused_until_the_first_has_ended(tmp_path):
    layout = Layout(tmp_path)
    first = take_lock(layout, "gcad")
    with pytest.raises(AgentError, match=f"another gcad runs below {tmp_path}") as refused:
        take_lock(layout, "gcad")
    assert refused.value.number == 6
    first.close()
    take_lock(layout, "gcad").close()


def test_daemons_of_two_kinds_and_of_two_machines_run_beside_each_other(tmp_path):
    one, other = Layout(tmp_path / "a"), Layout(tmp_path / "b")
    with take_lock(one, "gcad"), take_lock(one, "extd"), take_lock(other, "gcad"):
        pass


def test_whoever_looks_sees_whether_a_daemon_runs_without_being_in_its_way(tmp_path):
    layout = Layout(tmp_path)
    lock = layout["sockets"] / "extd.lock"
    assert not is_held(lock)
    with take_lock(layout, "extd"):
        assert is_held(lock)
        assert is_held(lock)
    assert not is_held(lock)
    take_lock(layout, "extd").close()
