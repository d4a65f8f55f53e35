"""How exactly limits are kept, by the kernel's own account. Run alone, on a machine with nothing else to do.

A group that is throttled is measured rightly on a busy machine too, as long as the machine has the share to
give. That an unlimited burner gets a whole core is only true on an idle one.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from arcbed_agent.clock import SystemClock
from arcbed_agent.governor import Limit

pytestmark = [pytest.mark.long, pytest.mark.alone]

BURN = ["sh", "-c", "while :; do :; done"]
#: Two burners that have left their parents and their session.
DAEMONS = ["sh", "-c", "(setsid sh -c 'while :; do :; done' &); (setsid sh -c 'while :; do :; done' &)"]
#: Says how many rounds it has come to in ten seconds; it seldom asks the kernel, which has its own price.
ROUNDS = """
import time
rounds, end = 0, time.monotonic() + 10
while time.monotonic() < end:
    for _ in range(10_000):
        rounds += 1
print(rounds)
"""
STORM = ["sh", "-c", "while :; do /bin/true; done"]


async def measure(governor, name: str, seconds: float) -> float:
    """Percent of a core that the group uses, after a first second that does not count."""
    clock = SystemClock()
    await asyncio.sleep(1)  # noqa: TID251 - a group begins with the whole share of a period
    before, begun = governor.usage(name).cpu_seconds, clock.monotonic()
    await asyncio.sleep(seconds)  # noqa: TID251 - the span that is measured
    return 100 * (governor.usage(name).cpu_seconds - before) / (clock.monotonic() - begun)


async def test_burner_uses_five_percent_of_a_core(enforcing, record_property):
    await enforcing.launch(BURN, name="one", limit=Limit(5))
    used = await measure(enforcing, "one", 20)
    record_property("percent", used)

    assert used == pytest.approx(5.0, abs=0.25)
    assert enforcing.usage("one").throttled_periods >= 0.9 * enforcing.usage("one").periods


async def test_burner_that_forks_twice_uses_five_percent_of_a_core(enforcing, record_property):
    await (await enforcing.launch(DAEMONS, name="one", limit=Limit(5))).wait()
    used = await measure(enforcing, "one", 20)
    record_property("percent", used)

    assert used == pytest.approx(5.0, abs=0.25)


async def test_fork_storm_uses_five_percent_of_a_core(enforcing, record_property):
    await enforcing.launch(STORM, name="one", limit=Limit(5))
    used = await measure(enforcing, "one", 20)
    record_property("percent", used)

    assert used == pytest.approx(5.0, abs=0.5)


async def test_burner_in_the_installation_window_uses_sixty_percent_and_five_afterwards(
    enforcing, record_property
):
    await enforcing.launch(BURN, name="one", limit=Limit(60))
    window = await measure(enforcing, "one", 15)
    await enforcing.limit("one", Limit(5))
    after = await measure(enforcing, "one", 20)
    record_property("percent", [window, after])

    assert window == pytest.approx(60, abs=2)
    assert after == pytest.approx(5.0, abs=0.5)


async def test_two_groups_use_five_percent_each(enforcing, record_property):
    await enforcing.launch(BURN, name="one", limit=Limit(5))
    await enforcing.launch(BURN, name="two", limit=Limit(5))
    used = await asyncio.gather(measure(enforcing, "one", 20), measure(enforcing, "two", 20))
    record_property("percent", used)

    assert used == pytest.approx([5.0, 5.0], abs=0.25)


async def test_burner_without_a_limit_uses_a_core(enforcing, record_property):
    """The control run: the same measurement can show much more."""
    await enforcing.launch(BURN, name="one", limit=Limit(None))
    used = await measure(enforcing, "one", 10)
    record_property("percent", used)

    assert used > 80


async def test_work_that_is_done_within_five_percent_is_a_twentieth(enforcing, record_property):
    """Without any account: what the limited program itself has got done, beside the same without a limit."""

    async def rounds(limit: Limit) -> int:
        command = [sys.executable, "-S", "-c", ROUNDS]
        counting = await enforcing.launch(command, name="one", limit=limit, stdout=subprocess.PIPE)
        done = int(await counting.stdout.read())
        await counting.wait()
        return done

    share = 100 * await rounds(Limit(5)) / await rounds(Limit(None))
    record_property("percent", share)

    assert share == pytest.approx(5.0, abs=1.0)
