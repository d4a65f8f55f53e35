"""The sample handlers: real packages, each with its own way of behaving."""

from __future__ import annotations

import asyncio
import json
import os
import zipfile
from contextlib import asynccontextmanager

import pytest

from arcbed import handlers
from arcbed_agent.extd.manifest import Manifest


@asynccontextmanager
async def put(bed, tmp_path, sample, *, seconds=20.0, **more):
    path = handlers.build(sample, tmp_path)
    bed.service.put(path.read_bytes(), **more)
    async with bed.running() as extd:
        await bed.pull(extd, seconds)
        yield extd


@pytest.mark.parametrize("sample", handlers.samples())
def test_every_sample_is_a_package_with_a_manifest_that_can_be_used(tmp_path, sample):
    with zipfile.ZipFile(handlers.build(sample, tmp_path)) as archive:
        manifest = Manifest.parse(archive.read("HandlerManifest.json"))
        assert {line.split()[0] for line in manifest.commands.values()} <= set(archive.namelist())


def test_a_sample_is_the_same_zip_every_time(tmp_path):
    """Its hash is in the event log, which is the same for the same seed."""
    made = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        path = handlers.build("well_behaved", tmp_path / str(number))
        made.append((path.read_bytes(), zipfile.ZipFile(path).infolist()[0].date_time))
    assert made[0] == made[1]
    assert made[0][1] == (2022, 3, 1, 0, 0, 0)


@pytest.mark.parametrize("stage", ["install", "enable"])
async def test_a_sample_that_fails_is_reported_with_51(bed, tmp_path, stage):
    async with put(bed, tmp_path, f"failing_{stage}"):
        (final,) = bed.service.finals()
        assert (final["state"], final["exitCode"]) == ("Failed", 51)
        assert final["stderrTail"] == f"{stage} is not possible here\n"


async def test_a_gigabyte_of_output_costs_no_memory_and_leaves_its_ends(bed, tmp_path, monkeypatch):
    monkeypatch.setenv("ARCBED_PRINTED_MIB", "64")
    async with put(bed, tmp_path, "printing_much"):
        log = bed.layout["extension_logs"] / "Arcbed.Test.Sample-1.0.0/CommandExecution.log"
        assert bed.service.finals()[0]["state"] == "Succeeded"
        assert "first line" in log.read_text()
        assert log.stat().st_size < 20_000


async def test_a_daemon_that_keeps_its_output_open_delays_nothing(bed, tmp_path):
    async with put(bed, tmp_path, "forking_a_daemon") as extd:
        assert bed.service.finals()[0]["instanceView"]["message"] == "Extension Message: The daemon runs"
        assert extd._governor.usage("Arcbed.Test.Sample") is not None


@pytest.mark.parametrize(
    ("form", "state", "code"),
    [
        ("word", "Failed", "1"),
        ("code", "Succeeded", "0"),
        ("object", "Failed", "1012"),
        ("truncated", "Failed", "1012"),
        ("null", "Succeeded", "0"),
        ("huge", "Succeeded", "0"),
    ],
)
async def test_a_bad_status_file_is_read_as_the_contract_says(bed, tmp_path, form, state, code):
    async with put(bed, tmp_path, "bad_status", settings={"form": form}):
        (final,) = bed.service.finals()
        assert (final["state"], final["instanceView"]["code"]) == (state, code)
        assert len(json.dumps(final)) < 102_400


async def test_without_python_2_install_fails_with_52(bed, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    async with put(bed, tmp_path, "needing_python2"):
        assert bed.service.finals()[0]["exitCode"] == 52


async def test_a_burner_is_measured_and_ends_with_its_extension(bed, tmp_path):
    async with put(bed, tmp_path, "cpu_burner") as extd:
        pid = int((bed.folder() / "burner.pid").read_text())
        os.kill(pid, 0)
        bed.service.delete()
        await bed.pull(extd)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert bed.service.finals()[0]["governance"]["cpuSecondsUsed"] >= 0


async def test_a_hanging_enable_is_killed_when_its_time_is_over(bed, tmp_path):
    bed.service.put(handlers.build("hanging", tmp_path).read_bytes())
    async with bed.running() as extd:
        extd.poke()
        pulled = asyncio.ensure_future(bed.clock.advance(seconds=1))
        while not (bed.folder() / "status/0.status").exists():
            await asyncio.to_thread(bed.folder().exists)
        bed.clock.let_pass("web-01/extd/command")
        await pulled
        await bed.clock.advance(seconds=298)
        assert bed.service.finals() == []
        await bed.clock.advance(seconds=2)
        await bed.quiet()
        (final,) = bed.service.finals()
    assert final["instanceView"]["code"] == "1011"
    assert "about to hang" in final["stdoutTail"]
