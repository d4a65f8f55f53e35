"""Limits that are kept, changed and taken away, and processes that try to get out of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from back_ends import own_group, refusal

from arcbed_agent.clock import SystemClock
from arcbed_agent.governor import Limit, Wishes, choose
from arcbed_agent.governor.cgroup1 import Cgroup1
from arcbed_agent.governor.contract import GovernorError
from arcbed_agent.governor.processes import cpu_seconds, look

FREE = Limit(None)
BURN = ["sh", "-c", "while :; do :; done"]


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def span(seconds: float) -> None:
    """Let real time pass: it is what is measured."""
    await asyncio.sleep(seconds)  # noqa: TID251 - the span that is measured


async def percent(command, seconds: float) -> float:
    """The use of a command over some seconds from now on, in percent of a core."""
    before, begun = command.usage(), SystemClock().monotonic()
    await span(seconds)
    return 100 * (command.usage().cpu_seconds - before.cpu_seconds) / (SystemClock().monotonic() - begun)


async def test_burner_is_throttled_and_the_account_says_so(enforcing):
    burner = await enforcing.launch(BURN, name="one", limit=Limit(10))
    await span(0.5)

    assert await percent(burner, 1.0) < 18
    used = burner.usage()
    assert used.enforced
    assert used.throttled_seconds > 0.3
    assert 0 < used.throttled_periods <= used.periods
    await burner.kill()


async def test_limit_can_be_changed_and_taken_away_while_a_command_runs(enforcing):
    burner = await enforcing.launch(BURN, name="one", limit=Limit(5))
    await enforcing.limit("one", Limit(None))
    free = await percent(burner, 1.0)
    await enforcing.limit("one", Limit(5))
    await span(0.5)
    held = await percent(burner, 1.5)

    assert held < 12
    assert free > 2 * held
    await burner.kill()


@pytest.mark.parametrize("limit", [Limit(50), FREE])
async def test_process_that_stands_though_its_tree_runs_is_woken(open_governor, until, limit):
    """As a process does that was being forked while signals stopped its group: nobody had counted it yet."""
    governor = await open_governor(backend="signals")
    script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exec sleep 300"
    idle = await governor.launch(["sh", "-c", script], name="one", limit=Limit(20))
    await until(lambda: idle.usage().throttled_periods and b"sleep" in cmdline(idle.pid))
    await governor.limit("one", limit)
    os.kill(idle.pid, signal.SIGSTOP)

    await until(lambda: look(idle.pid).state == "S")
    await idle.kill()


async def test_limit_that_is_given_again_gives_nothing_more(enforcing):
    burner = await enforcing.launch(BURN, name="one", limit=Limit(5))
    await span(0.5)
    before = burner.usage().cpu_seconds
    for _ in range(50):
        await enforcing.limit("one", Limit(5))
        await span(0.02)

    assert burner.usage().cpu_seconds - before < 0.1
    await burner.kill()


async def test_account_mode_limits_nothing(open_governor, backend):
    governor = await open_governor(backend=backend, mode="account")
    burner = await governor.launch(BURN, name="one", limit=Limit(5))

    # A machine that is busy with other work still gives more than the limit would.
    assert await percent(burner, 1.0) > 8
    assert burner.usage().throttled_seconds == 0
    await burner.kill()


async def test_tree_of_forking_processes_is_held_together(enforcing):
    storm = await enforcing.launch(["sh", "-c", "while :; do /bin/true; done"], name="one", limit=Limit(10))
    await span(0.5)

    assert 2 < await percent(storm, 2.0) < 18
    await storm.kill()


async def test_process_that_moves_itself_out_is_found_brought_back_and_reported(
    open_governor, until, leavable
):
    governor = await open_governor(backend=leavable)
    outside, path = own_group(leavable)
    script = f"echo $$ >{outside}/cgroup.procs; exec sleep 300"
    started = await governor.launch(["sh", "-c", script], name="one", limit=Limit(50))

    await until(lambda: started.usage().escapes, seconds=5.0)

    (escape,) = started.usage().escapes
    assert (escape.pid, escape.returned) == (started.pid, True)
    assert escape.found_in == path
    assert not started.usage().enforced
    assert governor.usage("one").group in Path(f"/proc/{started.pid}/cgroup").read_text()
    await started.kill()


async def test_hidden_daemon_that_moves_itself_out_is_found_too(open_governor, until, leavable):
    governor = await open_governor(backend=leavable)
    inner = f"echo $$ >{own_group(leavable)[0]}/cgroup.procs; exec sleep 300"
    script = f"(env -i setsid /bin/sh -c '{inner}' >/dev/null 2>&1 &) ; exec sleep 300"
    started = await governor.launch(["sh", "-c", script], name="one", limit=Limit(50))

    await until(lambda: started.usage().escapes, seconds=5.0)

    assert started.usage().escapes[0].command == "sleep 300"
    await started.kill()
    assert look(started.usage().escapes[0].pid) is None


async def test_groups_of_a_killed_daemon_are_taken_over(open_governor, tmp_path, leavable):
    first = await choose(Wishes(backend=leavable), owner="test", root=tmp_path, clock=SystemClock())
    left = await first.launch(["sleep", "300"], name="one", limit=Limit(5))
    await first.launch(["true"], name="two", limit=Limit(5))

    second = await open_governor(backend=leavable)
    await (await second.launch(["true"], name="one", limit=Limit(5))).wait()
    await second.end("one")

    assert await left.wait() == -signal.SIGKILL
    await first.close()


ORPHANED = """
import asyncio, os, signal, sys
from pathlib import Path
from arcbed_agent.clock import SystemClock
from arcbed_agent.governor import Limit, Wishes, choose
from arcbed_agent.governor.processes import look
async def main():
    root, clock = Path(sys.argv[1]), SystemClock()
    governor = await choose(Wishes(backend="signals"), owner="test", root=root, clock=clock)
    burner = await governor.launch(["sh", "-c", "while :; do :; done"], name="one", limit=Limit(1))
    while look(burner.pid).state != "T":
        await asyncio.sleep(0.01)
    print(burner.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_tree_that_a_killed_daemon_had_stopped_is_held_again(open_governor, tmp_path, until):
    done = subprocess.run(
        [sys.executable, "-c", ORPHANED, str(tmp_path)], stdout=subprocess.PIPE, check=False
    )
    burner = int(done.stdout)
    assert look(burner).state == "T"

    governor = await open_governor(backend="signals")
    await until(lambda: look(burner).state != "T")
    await (await governor.launch(["true"], name="one", limit=Limit(5))).wait()
    await until(lambda: look(burner).state == "T")
    await governor.end("one")

    assert look(burner) is None or look(burner).ended


@pytest.mark.skipif(bool(refusal("cgroup1")), reason=refusal("cgroup1"))
async def test_limit_above_that_of_an_outer_group_is_clamped():
    outer = Cgroup1.probe("arc-clamp/test")
    group, place = outer.group("outer"), own_group("cgroup1")[0] / "arc-clamp/test/outer"
    group.make()
    group.hold(0.1)
    inner = Cgroup1(place, place, "/arc-clamp/test/outer").group("inner")
    inner.make()
    inner.hold(0.5)

    assert (place / "inner/cpu.cfs_quota_us").read_text() == "10000\n"
    assert inner.is_held(0.5)
    assert group.remove()
    outer.close()


class _Refusing:
    """A back end's group that cannot be joined."""

    def __init__(self, group):
        self._group = group

    def __getattr__(self, name):
        return getattr(self._group, name)

    def admit(self, pid):
        raise GovernorError("no entry")


async def test_command_that_cannot_be_placed_runs_on_the_next_back_end(open_governor, monkeypatch):
    governor = await open_governor()
    refused = governor.choice.backend
    usual = governor._backend.group
    monkeypatch.setattr(governor._backend, "group", lambda name: _Refusing(usual(name)))

    started = await governor.launch(["echo", "once"], name="one", limit=Limit(50), stdout=subprocess.PIPE)

    assert await started.stdout.read() == b"once\n"
    assert await started.wait() == 0
    assert governor.choice.backend != refused
    assert (refused, "no entry") in governor.choice.refused


async def test_clock_of_another_process_counts_what_it_used(governor):
    burner = await governor.launch(BURN, name="one", limit=Limit(None))
    await span(0.3)

    assert cpu_seconds(burner.pid) > 0
    await burner.kill()
    assert cpu_seconds(burner.pid) == 0
