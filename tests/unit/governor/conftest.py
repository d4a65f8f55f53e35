"""Governors on the back ends that this machine offers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from back_ends import own_group, refusal

from arcbed_agent.clock import SystemClock
from arcbed_agent.governor import BACK_ENDS, Wishes, choose


@pytest.fixture(params=[name for name in BACK_ENDS if not refusal(name)])
def backend(request: pytest.FixtureRequest) -> str:
    """Each back end of this machine."""
    return request.param


@pytest.fixture(params=[name for name in BACK_ENDS if name != "none" and not refusal(name)])
async def enforcing(request: pytest.FixtureRequest, open_governor):
    """A governor on each back end that limits."""
    return await open_governor(backend=request.param)


@pytest.fixture
async def open_governor(tmp_path: Path):
    """Opens governors and closes them."""
    opened = []

    async def open_one(**wishes):
        opened.append(await choose(Wishes(**wishes), owner="test", root=tmp_path, clock=SystemClock()))
        return opened[-1]

    yield open_one
    for governor in opened:
        await governor.close()


@pytest.fixture(params=BACK_ENDS[:-1])
def offered(request: pytest.FixtureRequest) -> str:
    """Each back end, skipped with the reason where it is not offered: says in a report what was not tried."""
    if why := refusal(request.param):
        pytest.skip(why)
    return request.param


@pytest.fixture(params=["cgroup1", "cgroup2"])
def leavable(request: pytest.FixtureRequest) -> str:
    """Each back end with groups that a process of this user can leave."""
    if why := refusal(request.param):
        pytest.skip(why)
    if not os.access(own_group(request.param)[0] / "cgroup.procs", os.W_OK):
        pytest.skip("needs a writable group, to leave another for it")
    return request.param


@pytest.fixture
async def governor(backend: str, open_governor):
    """A governor on each back end."""
    return await open_governor(backend=backend)


@pytest.fixture
def until() -> Callable:
    """Waits for what another process does."""

    async def wait(condition: Callable, seconds: float = 10.0):
        async with asyncio.timeout(seconds):
            while not (found := condition()):
                await asyncio.sleep(0.01)  # noqa: TID251 - a real process, in real time
            return found

    return wait
