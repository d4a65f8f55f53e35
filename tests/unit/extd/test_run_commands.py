"""Run commands by the handler that the agent brings along."""

from __future__ import annotations

import asyncio
import json
import os
import select

import pytest
from handler_contract import alive


def want(bed, name, settings, protected=None):
    bed.service.put(
        b"",
        name=name,
        extensionName=name,
        settings=settings,
        publisher="Microsoft.CPlat.Core",
        type="RunCommandHandlerLinux",
        package=None,
        protectedSettings={"scheme": "plain-tls", "value": protected or {}},
    )


def view(bed, name):
    message = bed.service.finals(name)[0]["instanceView"]["message"]
    return json.loads(message[message.index("{") :])


async def test_a_script_runs_with_its_parameters_and_its_output_is_told(bed):
    want(
        bed,
        "first",
        {"source": {"script": 'echo "$greeting $1"; echo "$secret" | wc -c; exit 3'},
         "parameters": [{"name": "greeting", "value": "hello"}, {"name": "", "value": "world"}]},
        {"protectedParameters": [{"name": "secret", "value": "hunter2-hunter2"}]},
    )  # fmt: skip
    async with bed.running() as extd:
        await bed.pull(extd)
    said = view(bed, "first")
    assert (said["executionState"], said["exitCode"], said["output"]) == ("Failed", 3, "hello world\n16\n")
    assert bed.service.finals("first")[0]["state"] == "Succeeded"
    kept = [
        path for path in bed.root.rglob("*") if path.is_file() and b"hunter2-hunter2" in path.read_bytes()
    ]
    assert kept == []


async def test_two_run_commands_share_one_handler_and_each_has_its_own_result(bed):
    want(bed, "one", {"source": {"script": "echo 1"}})
    want(bed, "two", {"source": {"script": "echo 2"}, "asyncExecution": True})
    async with bed.running() as extd:
        await bed.pull(extd, 30)
        assert view(bed, "one")["output"] == "1\n"
        assert view(bed, "two")["executionState"] in {"Running", "Succeeded"}
        assert [one.name for one in extd.store.handlers] == ["Microsoft.CPlat.Core.RunCommandHandlerLinux"]
        for name in ("one", "two"):
            bed.service.delete(name)
        await bed.pull(extd, 30)
        assert extd.store.handlers == []


@pytest.mark.parametrize("seconds", [1])
async def test_a_script_that_takes_too_long_is_ended(bed, seconds):
    want(bed, "slow", {"source": {"script": "echo begun; exec sleep 60"}, "timeoutInSeconds": seconds})
    async with bed.running() as extd:
        await bed.pull(extd)
    assert view(bed, "slow")["executionState"] == "TimedOut"


async def test_a_run_command_that_is_deleted_is_stopped_and_the_next_run_of_a_name_stops_the_one_before(bed):
    told = bed.root.parent / "told"
    os.mkfifo(told)
    script = f'echo $$ > "{told}"; exec sleep 600'
    async with bed.running() as extd:
        want(bed, "long", {"source": {"script": script}, "asyncExecution": True})
        await bed.pull(extd, 30)
        first = int(await asyncio.to_thread(told.read_text))
        want(bed, "long", {"source": {"script": script}, "asyncExecution": True})
        await bed.pull(extd, 30)
        second = int(await asyncio.to_thread(told.read_text))
        assert await ends(first)
        assert alive(second)
        bed.service.delete("long")
        await bed.pull(extd, 30)
        assert await ends(second)


async def ends(pid):
    """Whether a process ends, or has ended."""
    try:
        end = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with os.fdopen(end):
        return bool((await asyncio.to_thread(select.select, [end], [], [], 30))[0])


async def test_only_the_end_of_the_output_is_told_and_no_end_of_a_secret(bed):
    want(
        bed,
        "much",
        {"source": {"script": 'printf "%s" "$secret"; head -c 4086 /dev/zero | tr "\\0" x'}},
        {"protectedParameters": [{"name": "secret", "value": "hunter2-hunter2"}]},
    )
    async with bed.running() as extd:
        await bed.pull(extd)
    assert view(bed, "much")["output"] == "[redacted]" + "x" * 4_086
