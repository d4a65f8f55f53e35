"""Reading what the daemons keep within limits, while they run."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from arcbed_agent.governor.watch import accounts, percent, watch
from arcbed_agent.himds.ipc import IpcServer
from arcbed_agent.host.layout import Layout
from arcbed_cloud.clock import Keeper


@pytest.fixture
async def layout(tmp_path):
    """A machine whose gcad has an account and whose extd does not run."""
    layout = Layout(tmp_path)
    asked = iter(range(10))

    async def status(_parameters, _report):
        number = next(asked)
        return {"governance": {"worker": {"cpuSecondsUsed": 1 + number / 20, "wallSeconds": 10 + number}}}

    server = IpcServer(layout["gcad_socket"], {"status": status}, logging.getLogger("test"))
    await server.start()
    yield layout
    await server.stop()


async def test_accounts_are_those_of_the_daemons_that_answer(layout):
    found = await asyncio.to_thread(accounts, layout)
    assert found == {"gcad/worker": {"cpuSecondsUsed": 1.0, "wallSeconds": 10}}


async def test_each_line_has_the_percent_since_the_line_before(layout, capsys):
    clock = Keeper("stepped")
    watching = asyncio.ensure_future(watch(layout, clock, seconds=2.5, every=1))
    await clock.advance(seconds=3)
    await watching
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["at"] for line in lines] == [0, 1, 2, 2.5]
    assert [line["groups"]["gcad/worker"]["percent"] for line in lines] == [None, 5.0, 5.0, 5.0]


def test_a_group_that_was_made_anew_has_no_percent():
    before, now = {"cpuSecondsUsed": 9.0, "wallSeconds": 60.0}, {"cpuSecondsUsed": 0.1, "wallSeconds": 1.0}
    assert percent(before, now) is None
    assert percent(None, now) is None
