"""Run commands by the handler that the agent brings along."""

from __future__ import annotations

import json

import pytest


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
