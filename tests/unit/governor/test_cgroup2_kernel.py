"""The cgroup v2 back end and the rules of the kernel itself, where the cpu controller is in the v2 tree.

`make test-cgroup2` runs these on a kernel of its own.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from back_ends import own_group, refusal

from arcbed_agent.clock import SystemClock
from arcbed_agent.governor import GovernorError, Limit, files
from arcbed_agent.governor.cgroup2 import LEAST_US, Cgroup2
from arcbed_agent.governor.hierarchy import folder, memberships, mounts
from arcbed_agent.governor.processes import look

pytestmark = pytest.mark.skipif(bool(refusal("cgroup2")), reason=refusal("cgroup2"))

BURN = ["sh", "-c", "while :; do :; done"]


def place_of(group: str) -> Path:
    """The folder of the group that /proc/PID/cgroup calls so."""
    return folder(mounts(Path("/proc/self/mountinfo").read_text()), group, None)


@pytest.fixture
async def governor(open_governor):
    """A governor on version 2."""
    return await open_governor(backend="cgroup2")


@pytest.fixture
def group():
    """A group without processes."""
    backend = Cgroup2.probe("arc-kernel/tests")
    made = backend.group("one")
    made.make()
    yield made
    made.kill()
    assert made.remove()
    backend.close()


async def test_own_processes_stay_out_of_groups_that_hand_the_controller_down(governor):
    inside = await governor.launch(["sleep", "300"], name="one", limit=Limit(5))
    place = place_of(governor.usage("one").group)

    assert (place / "cgroup.procs").read_text() == f"{inside.pid}\n"
    assert "cpu" in (place.parent / "cgroup.subtree_control").read_text().split()
    assert (place.parent / "cgroup.procs").read_text() == ""
    assert not own_group("cgroup2")[0].is_relative_to(place.parents[1])
    await inside.kill()
    assert not place.exists()


async def test_idle_daemon_leaves_no_folders_behind(governor):
    inside = await governor.launch(["true"], name="one", limit=Limit(5))
    place = place_of(inside.usage().group)
    await inside.wait()

    assert not place.parents[1].exists()


async def test_daemons_that_come_and_go_do_not_take_each_others_folders_away():
    def daemon(name: str) -> Path:
        for _ in range(40):
            backend = Cgroup2.probe(f"arc-race/{name}")
            one = backend.group("one")
            one.make()
            one.hold(0.05)
            assert one.remove()
            backend.close()
        return place_of(one.where)

    places = await asyncio.gather(*(asyncio.to_thread(daemon, name) for name in ("gcad", "extd", "trial")))

    assert not [place for place in places if place.parents[1].exists()]


@pytest.mark.parametrize(
    ("cores", "text"),
    [(0.05, "5000 100000"), (0.6, "60000 100000"), (1.5, "150000 100000"), (0.001, "1000 100000")],
)
def test_kernel_has_the_quota_that_was_asked_for(group, cores, text):
    group.hold(cores)

    assert (place_of(group.where) / "cpu.max").read_text() == f"{text}\n"
    assert group.is_held(max(cores, 0.01))
    group.hold(None)
    assert (place_of(group.where) / "cpu.max").read_text() == "max 100000\n"
    assert not group.is_held(cores)


def test_kernel_takes_no_smaller_quota(group):
    with pytest.raises(GovernorError, match="Invalid argument"):
        files.write(place_of(group.where) / "cpu.max", f"{LEAST_US - 1} 100000")


async def test_limit_above_that_of_an_outer_group_holds_no_less(governor):
    outer = Cgroup2.probe("arc-outer/tests")
    place = place_of(outer.group("outer").where)
    holder = outer.group("outer")
    holder.make()
    holder.hold(0.1)
    files.write(place / "cgroup.subtree_control", "+cpu")
    inner = Cgroup2(place, holder.where).group("inner")
    inner.make()
    inner.hold(0.5)
    with subprocess.Popen(BURN) as burner:
        inner.admit(burner.pid)
        await asyncio.sleep(0.5)  # noqa: TID251 - the first period's share is over
        begun, before = SystemClock().monotonic(), inner.counters().cpu
        await asyncio.sleep(2)  # noqa: TID251 - the span that is measured
        share = (inner.counters().cpu - before) / (SystemClock().monotonic() - begun)
        burner.kill()

    assert inner.is_held(0.5)
    assert share < 0.18
    assert inner.remove()
    assert holder.remove()
    outer.close()


#: A root process that makes a group with limits inside its own and moves there, as container engines do.
ENGINE = """
cd {place}; mkdir inner; echo $$ >inner/cgroup.procs; echo +cpu >cgroup.subtree_control
echo made; exec sleep 300
"""


@pytest.fixture
async def engine(governor):
    """Such a process, in the group one."""
    probe = await governor.launch(["sleep", "300"], name="one", limit=Limit(50))
    place = place_of(governor.usage("one").group)
    await probe.kill()
    script = ENGINE.format(place=place)
    started = await governor.launch(
        ["sh", "-ec", script], name="one", limit=Limit(50), stdout=subprocess.PIPE
    )
    assert await started.stdout.readline() == b"made\n"
    return started


async def test_command_joins_a_group_in_which_another_has_made_groups_with_limits(governor, engine):
    where = governor.usage("one").group
    second = await governor.launch(["sleep", "300"], name="one", limit=Limit(50))

    assert governor.choice.backend == "cgroup2"
    assert second.usage().enforced
    (membership,) = memberships(Path(f"/proc/{second.pid}/cgroup").read_text())
    assert membership.path.startswith(f"{where}/")
    await engine.kill()
    assert await second.wait() == -signal.SIGKILL
    assert not place_of(where).exists()


async def test_process_in_a_group_inside_has_not_escaped_and_ends_with_it(governor, engine):
    governor.inspect()

    assert engine.usage().escapes == ()
    assert engine.usage().enforced
    await engine.kill()
    assert look(engine.pid) is None
    assert governor.usage("one") is None


async def test_group_that_a_process_of_it_has_frozen_can_be_ended(governor, until):
    started = await governor.launch(["sleep", "300"], name="one", limit=Limit(50))
    place = place_of(governor.usage("one").group)
    files.write(place / "cgroup.freeze", "1")
    await until(lambda: "frozen 1" in (place / "cgroup.events").read_text())

    await started.kill()

    assert look(started.pid) is None
    assert not place.exists()


async def test_many_processes_within_one_percent_are_ended_at_once(governor):
    burners = f"for i in 1 2 3 4 5 6 7 8 9 10; do ({BURN[2]}) & done; echo ready; wait"
    started = await governor.launch(
        ["sh", "-c", burners], name="one", limit=Limit(None), stdout=subprocess.PIPE
    )
    assert await started.stdout.readline() == b"ready\n"
    await governor.limit("one", Limit(1))
    assert len(files.pids(place_of(governor.usage("one").group))) == 11

    await started.kill()

    assert governor.usage("one") is None


async def test_account_counts_what_ended_and_outlives_the_group(governor):
    burn = f"{sys.executable} -S -c 'import time\nwhile time.process_time() < 0.2: pass'"
    started = await governor.launch(["sh", "-c", f"{burn} & {burn} & wait"], name="one", limit=Limit(80))
    place = place_of(governor.usage("one").group)
    await started.wait()

    assert not place.exists()
    assert started.usage().cpu_seconds > 0.39
    assert started.usage().periods > 0
