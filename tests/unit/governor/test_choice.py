"""Which back end is taken, why, and what azcmagent says of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from arcbed_agent.config import LocalConfig
from arcbed_agent.governor import (
    Choice,
    GovernorError,
    Wishes,
    announce,
    announced,
    in_force,
    retract,
    wishes,
)
from arcbed_agent.governor.candidates import Candidates
from arcbed_agent.governor.choice import below
from arcbed_agent.host.layout import Layout


class Found:
    reason = "found"


def refuses():
    raise GovernorError("not here")


PROBES = [("systemd", refuses), ("cgroup1", Found), ("signals", Found), ("none", Found)]


def test_first_back_end_that_works_is_taken_and_the_others_have_a_reason():
    _, choice = Candidates(PROBES, "enforce").pick()

    assert choice == Choice("cgroup1", "enforce", "found", (("systemd", "not here"),))
    assert str(choice) == "cgroup1 (enforced): found; not systemd: not here"


def test_next_back_end_is_taken_when_the_first_one_fails_later():
    candidates = Candidates(PROBES, "enforce")
    candidates.pick()
    candidates.reject("cgroup1", "gone")
    _, choice = candidates.pick()

    assert choice.backend == "signals"
    assert choice.refused == (("systemd", "not here"), ("cgroup1", "gone"))


def test_back_end_that_was_asked_for_is_not_replaced_by_another_that_limits():
    _, choice = Candidates(PROBES, "enforce", "systemd").pick()

    assert (choice.backend, choice.enforces) == ("none", False)
    assert str(choice) == "none (not enforced): asked for; found; not systemd: not here"


def test_no_back_end_at_all_is_an_error():
    with pytest.raises(GovernorError, match="no back end works here"):
        Candidates([("systemd", refuses)], "enforce").pick()


def test_account_mode_is_called_not_enforced():
    _, choice = Candidates(PROBES, "account").pick()

    assert not choice.enforces
    assert str(choice).startswith("cgroup1 (not enforced, measured only): found")


def test_wishes_come_from_the_local_configuration():
    config = LocalConfig().with_value("governor.mode", "account").with_value("governor.percentOf", "machine")

    assert wishes(config) == Wishes("account", "auto", "machine")
    assert wishes(LocalConfig()) == Wishes()


def test_agents_with_other_roots_have_other_groups():
    assert below("gcad", Path("/")) == "arc/gcad"
    assert below("gcad", Path("/a")) != below("gcad", Path("/b"))


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


CHOICE = Choice("cgroup1", "enforce", "found", (("systemd", "not here"),))


def test_choice_of_a_running_daemon_is_shown(layout):
    announce(layout, "gcad", CHOICE)

    assert announced(layout, "gcad") == CHOICE
    assert in_force(layout) == str(CHOICE)


def test_daemons_that_chose_differently_are_both_shown(layout):
    announce(layout, "gcad", CHOICE)
    announce(layout, "extd", Choice("signals", "enforce", "found"))

    assert in_force(layout) == f"gcad: {CHOICE}; extd: signals (enforced): found"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": 1}', '{"pid": "x", "started": 1}'])
def test_broken_record_is_no_choice(layout, content):
    announce(layout, "gcad", CHOICE)
    (layout["home"] / "governor-gcad.json").write_text(content)

    assert in_force(layout) == "none: no daemon that limits CPU is running"


def test_record_of_a_daemon_that_was_killed_is_not_in_force(layout):
    announce(layout, "gcad", CHOICE)
    file = layout["home"] / "governor-gcad.json"
    document = json.loads(file.read_text())
    assert document["pid"] == os.getpid()
    file.write_text(json.dumps({**document, "started": document["started"] - 1}))

    assert announced(layout, "gcad") is None


def test_daemon_that_ends_takes_its_choice_back(layout):
    announce(layout, "gcad", CHOICE)
    retract(layout, "gcad")
    retract(layout, "gcad")

    assert announced(layout, "gcad") is None
