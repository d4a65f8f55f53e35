"""Evaluations within the policy agent's CPU limit, and their account in reports and metadata."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal

import pytest

from arcbed_agent.clock import SystemClock
from arcbed_agent.config import LocalConfig
from arcbed_agent.detected import detected
from arcbed_agent.errors import AgentError
from arcbed_agent.gcad.governed import GROUP, GovernedProcesses
from arcbed_agent.governor import announced
from arcbed_cloud.clock import Keeper

from .conftest import package

LIMIT = "guestconfiguration.agent.cpulimit"
#: CPU seconds that a burning script takes, whatever else the machine does; at 5 % that is 4 s.
BURNT = 0.2


def scripted(script: str) -> bytes:
    """A package whose TestScript is `script`, lines of a shell."""
    text = f"#!/bin/sh\\n{script}\\nexit 0\\n"
    return package(
        f"""instance of MSFT_nxScriptResource as $S
{{
 ResourceID = "[nxScript]burn"; TestScript = "{text}";
 ModuleName = "nx"; ModuleVersion = "1.0"; SourceInfo = "x"; ConfigurationName = "FilePolicy";
}};
instance of OMI_ConfigurationDocument
{{ Version = "2.0.0"; MinimumCompatibleVersion = "1.0.0"; Name = "FilePolicy"; }};
"""
    )


def burning() -> bytes:
    program = f"import time\\nwhile time.process_time() < {BURNT}: pass"
    return scripted(f"python3 -c '{program}'")


@pytest.fixture
def governed(bed):
    """A machine whose evaluations are governed."""
    bed.governed = True
    return bed


@pytest.fixture
def flowing(governed):
    """The same in real time, which limits are kept in."""
    governed.configure(**{"gcad.pullSeconds": 1})
    governed.clock = governed.service.clock = SystemClock()
    return governed


async def reported(machine) -> None:
    """Wait for the next report."""
    arrived, take = asyncio.Event(), machine.service.take

    def noticing(request):
        arrived.set()
        return take(request)

    machine.service.take = noticing
    await arrived.wait()


@pytest.fixture
async def runner(bed):
    """A runner on its own; `sleep` stands for the worker."""
    made = GovernedProcesses(bed.layout, SystemClock(), LocalConfig.load(bed.layout), logging.getLogger("x"))
    await made.open()
    yield made
    await made.close()


def limit_of(runner: GovernedProcesses) -> float | None:
    return runner.accounts()[GROUP]["cpuLimitPercent"]


# -- reports -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["auto", "signals"])
async def test_an_evaluation_is_throttled_and_its_report_says_so(flowing, backend):
    flowing.configure(**{"governor.backend": backend})
    flowing.service.put("burn", burning(), mode="Audit")
    async with flowing.running() as gcad:
        await reported(flowing)
        group = gcad.status()["governance"]["worker"]["cgroup"]
    engine = flowing.service.reports[-1]["engine"]
    if engine["backend"] == "none":
        pytest.skip("nothing limits CPU on this machine")
    assert flowing.statuses("burn") == ["Compliant"]
    assert (engine["enforced"], engine["cpuLimitPercent"], engine["percentOf"]) == (True, 5, "core")
    assert engine["cpuSecondsUsed"] >= BURNT
    assert engine["throttledSeconds"] > 0
    assert 0 < engine["throttledPeriods"] <= engine["periods"]
    assert engine["cgroup"] == group


async def test_where_the_beds_time_stands_an_evaluation_is_only_measured(governed):
    governed.service.put("burn", burning(), mode="Audit")
    async with governed.running():
        await governed.pass_time(minutes=6)
    engine = governed.service.reports[-1]["engine"]
    assert (engine["cpuLimitPercent"], engine["enforced"], engine["throttledSeconds"]) == (None, False, 0)
    assert engine["cpuSecondsUsed"] >= BURNT


async def test_while_a_flowing_clock_is_advanced_an_evaluation_is_only_measured(governed, content):
    governed.clock = governed.service.clock = clock = Keeper("live")
    governed.configure(**{"governor.backend": "none"})
    governed.service.put("motd", content(), mode="Audit")
    beating = asyncio.ensure_future(clock.run())
    async with governed.running() as gcad:
        await governed.pass_time(minutes=6)
        measured = governed.service.reports[-1]["engine"]
        await asyncio.gather(*gcad._runner._turning)
        assert gcad.status()["governance"]["worker"]["cpuLimitPercent"] == 5
    beating.cancel()
    assert measured["cpuLimitPercent"] is None
    assert measured["cpuSecondsUsed"] > 0


async def test_an_evaluation_that_is_going_on_is_let_go_when_time_stops(bed):
    clock = Keeper("live")
    runner = GovernedProcesses(bed.layout, clock, LocalConfig.load(bed.layout), logging.getLogger("x"))
    await runner.open()
    await runner.start(["sleep", "1000"], dict(os.environ))
    await runner.begin()
    assert limit_of(runner) == 5
    await clock.freeze()
    await asyncio.gather(*runner._turning)
    assert limit_of(runner) is None
    await clock.resume()
    await asyncio.gather(*runner._turning)
    assert limit_of(runner) == 5
    await runner.close()


async def test_in_account_mode_the_report_has_what_was_used_and_nothing_is_throttled(governed):
    governed.configure(**{"governor.mode": "account"})
    governed.service.put("burn", burning(), mode="Audit")
    async with governed.running():
        await governed.pass_time(minutes=6)
    engine = governed.service.reports[-1]["engine"]
    assert engine["cpuSecondsUsed"] >= BURNT
    assert (engine["enforced"], engine["throttledSeconds"], engine["throttledPeriods"]) == (False, 0, 0)


async def test_each_report_has_the_account_of_its_own_evaluation(governed, content):
    governed.configure(**{"governor.mode": "account"})
    governed.service.put("a-burn", burning(), mode="Audit")
    governed.service.put("motd", content(), mode="Audit")
    async with governed.running():
        await governed.pass_time(minutes=36)
    used = {}
    for report in governed.service.reports:
        used.setdefault(report["assignmentName"], []).append(report["engine"]["cpuSecondsUsed"])
    assert len(used["a-burn"]) == len(used["motd"]) == 3
    assert all(seconds >= BURNT for seconds in used["a-burn"])
    assert all(0 < seconds < BURNT for seconds in used["motd"][1:])


async def test_an_evaluation_that_ran_out_of_time_is_accounted_and_what_it_started_is_ended(governed):
    mark = governed.root / "pid"
    governed.configure(**{"gcad.evaluationLimitSeconds": 60, "governor.mode": "account"})
    left = f"setsid sh -c 'echo $$ > {mark}; exec sleep 1000' > /dev/null 2>&1 &"
    governed.service.put("burn", scripted(f"{left}\\nwhile :; do :; done"), mode="Audit")
    async with governed.running() as gcad:
        passing = asyncio.ensure_future(governed.pass_time(minutes=6))
        while not (mark.exists() and mark.read_text()):
            await asyncio.to_thread(mark.exists)
        governed.clock.let_pass("web-01/gcad/worker")
        await passing
        with pytest.raises(ProcessLookupError):
            os.kill(int(mark.read_text()), 0)
        assert gcad.status()["governance"] == {}
    report = governed.service.reports[-1]
    assert report["error"]["code"] == "EvaluationTimedOut"
    assert report["engine"]["cpuSecondsUsed"] > 0


async def test_the_machines_metadata_says_what_policies_have_used(governed, content):
    governed.service.put("motd", content())
    async with governed.running():
        await governed.pass_time(minutes=6)
        said = detected(governed.layout)
    engine = governed.service.reports[-1]["engine"]
    assert said["policyCpuUsage"] == (
        f"motd: {engine['cpuSecondsUsed']:g} s CPU in {engine['wallSeconds']:g} s, throttled for 0 s "
        f"in 0 of {engine['periods']} periods, no limit ({engine['backend']})"
    )
    event = json.loads(governed.layout["gc_agent_telemetry"].read_text().splitlines()[-1])
    assert (event["cpuSecondsUsed"], event["enforced"]) == (engine["cpuSecondsUsed"], False)


# -- the limit -----------------------------------------------------------------------------------------------


async def test_a_worker_is_limited_from_its_first_evaluation_on_and_follows_the_configuration(bed, runner):
    worker = await runner.start(["sleep", "1000"], dict(os.environ))
    assert limit_of(runner) is None
    await runner.follow(LocalConfig({LIMIT: 7}))
    assert limit_of(runner) is None
    await runner.begin()
    assert limit_of(runner) == 7
    await runner.follow(LocalConfig({LIMIT: 20}))
    assert limit_of(runner) == 20
    await runner.follow(LocalConfig({}))
    assert limit_of(runner) == 5
    await runner.end(worker)
    assert runner.accounts() == {}


async def test_what_a_dead_worker_left_running_stays_limited_while_the_next_one_starts(runner, tmp_path):
    os.mkfifo(forked := tmp_path / "forked")
    script = f"setsid sleep 1000 & echo yes > {forked}; exec sleep 1000"
    first = await runner.start(["sh", "-c", script], dict(os.environ))
    await runner.begin()
    await asyncio.to_thread(forked.read_text)
    os.kill(first.pid, signal.SIGKILL)
    await first.wait()
    await runner.start(["sleep", "1000"], dict(os.environ))
    assert limit_of(runner) == 5


async def test_a_changed_setting_reaches_a_running_daemon(flowing, content):
    flowing.service.put("motd", content(), mode="Audit")
    async with flowing.running() as gcad:
        await reported(flowing)
        assert gcad.status()["governance"]["worker"]["cpuLimitPercent"] == 5
        flowing.configure(**{LIMIT: 20})
        await gcad._methods()["reload"]({}, None)
        assert gcad.status()["governance"]["worker"]["cpuLimitPercent"] == 20


# -- starts and ends -----------------------------------------------------------------------------------------


async def test_show_tells_what_limits_as_long_as_the_daemon_runs(governed):
    async with governed.running() as first:
        running = announced(governed.layout, "gcad")
        for handler in first.log.handlers:
            handler.close()
        second = governed.make()
        with pytest.raises(AgentError, match="another gcad runs"):
            await second.start()
        assert announced(governed.layout, "gcad") == running
        assert running is not None
    assert announced(governed.layout, "gcad") is None


async def test_a_worker_that_ends_before_it_connects_is_reported_at_once(governed, content, monkeypatch):
    monkeypatch.setattr("arcbed_agent.gcad.workers.command", lambda _path: ["sh", "-c", "exit 3"])
    governed.service.put("motd", content(), mode="Audit")
    async with governed.running():
        await governed.pass_time(minutes=6)
    error = governed.service.reports[-1]["error"]
    assert error["code"] == "WorkerEnded"
    assert "it left with 3 before it had connected" in error["message"]


async def test_records_of_an_earlier_version_have_no_account(governed, content):
    governed.service.put("motd", content())
    async with governed.running():
        await governed.pass_time(minutes=6)
    (path,) = governed.layout["assignments"].glob("*.json")
    document = json.loads(path.read_bytes())
    assert document.pop("used")["cpuSecondsUsed"] > 0
    path.write_text(json.dumps(document))
    async with governed.running():
        assert "policyCpuUsage" not in detected(governed.layout)
