"""The cgroup v2 back end on a real kernel whose cpu controller is in the v2 tree, whatever this machine has.

The shared tests of the governor run in User-Mode Linux (tests/support/uml.py), once in each place that a
daemon can find itself in. `make test-cgroup2`; not part of CI.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import uml

pytestmark = [
    pytest.mark.long,
    pytest.mark.alone,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(bool(uml.missing()), reason=uml.missing()),
]

GOVERNOR = "tests/unit/governor"
BURN = ["sh", "-c", "while :; do :; done"]
#: Where the governor's groups are below.
PLACES = {"top": "/sys/fs/cgroup", "service": "/sys/fs/cgroup/agent", "container": "/sys/fs/cgroup"}


def tried(folder: Path, place: str, *arguments: str) -> list[ET.Element]:
    """The test cases that pytest has run in there; every one has passed, and none was skipped."""
    pytest_here = [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "--color=no"]
    places = ["--basetemp=/run/tmp/pytest", "--junitxml=/run/job/junit.xml", "-o", "junit_family=xunit1"]
    # Starting a process takes 40 ms there.
    command = [*pytest_here, *places, "-o", "timeout=600", *arguments]
    ended = uml.run(command, place=place, folder=folder, seconds=1200)
    if ended.code != 0:
        pytest.fail(str(ended), pytrace=False)
    cases = list(ET.parse(folder / "junit.xml").getroot().iter("testcase"))
    assert not [case.get("name") for case in cases if case.find("skipped") is not None]
    return cases


def trial(folder: Path, place: str, *arguments: str) -> list[dict]:
    """What `python -m arcbed_agent.governor` prints there: the choice, accounts, the end."""
    command = ["env", "ARC_ROOT=/run/tmp/arc", sys.executable, "-B", "-m", "arcbed_agent.governor"]
    ended = uml.run([*command, *arguments], place=place, folder=folder, seconds=180)
    if ended.code != 0:
        pytest.fail(str(ended), pytrace=False)
    return [json.loads(line) for line in ended.output.splitlines()]


def choice(folder: Path, place: str) -> dict:
    """Which back end is taken there, and what became of those before it; with it a command runs."""
    first, *_, last = trial(folder, place, "--", "true")
    assert last["exitCode"] == 0
    return first["choice"]


def reasons(found: dict) -> dict[str, str]:
    """Why back ends were passed over."""
    return {refused["backend"]: refused["reason"] for refused in found["refused"]}


@pytest.mark.parametrize("place", PLACES)
def test_back_end_behaves_as_all_do(tmp_path, place):
    files = [f"{GOVERNOR}/test_{name}.py" for name in ("behaviour", "enforcement", "cgroup2_kernel")]
    cases = tried(tmp_path, place, *files, "-k", "cgroup2 or next_back_end")

    assert {case.get("classname", "").rpartition(".")[2] for case in cases} == {
        "test_behaviour",
        "test_enforcement",
        "test_cgroup2_kernel",
    }


def test_limits_are_kept_as_exactly_as_by_other_back_ends(tmp_path, record_property):
    cases = tried(tmp_path, "container", f"{GOVERNOR}/test_measured.py", "-k", "cgroup2")
    for case in cases:
        (percent,) = (item.get("value") for item in case.iter("property") if item.get("name") == "percent")
        record_property(case.get("name", ""), percent)

    assert len(cases) >= 6


@pytest.mark.parametrize("place", PLACES)
def test_version_two_is_found_and_taken(tmp_path, place):
    found = choice(tmp_path, place)
    assert (found["backend"], found["mode"]) == ("cgroup2", "enforce")
    assert found["reason"] == f"cpu controller of cgroup v2 writable at {PLACES[place]}"
    assert list(reasons(found)) == ["systemd"]


def test_tree_that_is_mounted_read_only_is_passed_over_with_the_kernels_words(tmp_path):
    found = choice(tmp_path, "read-only")
    assert found["backend"] == "signals"
    assert "Read-only file system" in reasons(found)["cgroup2"]


def test_tree_of_version_two_without_the_controller_is_passed_over_for_version_one(tmp_path):
    found = choice(tmp_path, "hybrid")
    assert found["backend"] == "cgroup1"
    assert reasons(found)["cgroup2"] == "no cpu controller at /sys/fs/cgroup/unified"


def test_trial_command_keeps_a_burner_within_the_limit_of_the_policy_agent(tmp_path):
    lines = trial(tmp_path, "container", "--seconds", "10", "--", *BURN)
    *accounts, end = lines[1:]

    assert end["usage"]["backend"] == "cgroup2"
    assert {account["limitPercent"] for account in accounts} == {5.0}
    assert end["usage"]["throttledPeriods"] >= 0.9 * end["usage"]["periods"] > 0
