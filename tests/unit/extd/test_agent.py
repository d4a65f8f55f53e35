"""The shortest way: a goal arrives, a real handler is installed and enabled, and the service hears of it."""

from __future__ import annotations

import json

from arcbed import handlers


async def test_a_well_behaved_handler_is_installed_enabled_and_reported(bed, tmp_path):
    package = handlers.build("well_behaved", tmp_path)
    bed.service.put(package.read_bytes(), settings={"greeting": "hello"})
    async with bed.running() as extd:
        await bed.pull(extd)
        (final,) = bed.service.finals()
    assert final["state"] == "Succeeded"
    assert final["phase"] == "Done"
    assert final["handler"]["status"] == "Ready"
    assert (
        final["instanceView"]["message"] == "Extension Message: Enabled version 1.0.0 with sequence number 0"
    )
    assert final["instanceView"]["code"] == "0"
    assert bed.service.reports[0]["state"] == "InProgress"
    runs = (bed.layout["extension_logs"] / "Arcbed.Test.Sample.runs").read_text().splitlines()
    assert [line.split()[2] for line in runs] == ["install", "enable"]
    settings = json.loads((bed.folder() / "config/0.settings").read_text())
    assert settings["runtimeSettings"][0]["handlerSettings"]["publicSettings"] == {"greeting": "hello"}
    report = json.loads((bed.layout["extension_reports"] / "Arcbed.Test.Sample.json").read_text())
    assert report["status"]["provisioningState"] == "Succeeded"


async def test_the_same_goal_again_runs_nothing(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
        bed.service.generation += 1
        await bed.pull(extd)
    async with bed.running() as extd:
        await bed.pull(extd)
    assert bed.runs == ["1.0.0 install 0 -", "1.0.0 enable 0 -"]
    assert len(bed.service.finals()) == 1


async def test_news_that_comes_during_a_pull_leads_to_another(bed):
    answer = bed.service.pull
    async with bed.running() as extd:
        await bed.pull(extd)

        def overtaken(request):
            found = answer(request)
            bed.service.pull = answer
            bed.service.put(bed.handler())
            extd.poke()
            return found

        bed.service.pull = overtaken
        before = len(bed.service.asked("GET", "/extensions"))
        await bed.pull(extd)
        assert len(bed.service.asked("GET", "/extensions")) - before == 2
    assert bed.runs == ["1.0.0 install 0 -", "1.0.0 enable 0 -"]


async def test_what_a_kill_has_left_half_written_is_swept_at_the_next_start(bed):
    killed = 2**22 + 1  # more than any process id
    left = [
        bed.layout["guest_config"] / f".extension_usage.json.{killed}-1.new",
        bed.layout["extension_reports"] / f".Arcbed.Test.Sample.json.{killed}-2.new",
        bed.layout["extension_state"] / "items" / f".sample.json.{killed}-3.new",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    async with bed.running():
        assert [path for path in left if path.exists()] == []
