"""What a machine does with its assignments, from pull to report, with real worker processes."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import httpx
import pytest
from scripted import GAS, VM_ID, refusal

from arcbed_agent.config import AgentConfig

LINE = re.compile(
    r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\] \[PID \d+\] \[TID \d+\] \[[\w ]+\] \[[A-Z]+\] "
    r"\[[0-9a-f-]{36}\] .+$"
)


# -- from pull to report -------------------------------------------------------------------------------------


async def test_an_assignment_is_pulled_published_evaluated_and_reported(bed, content):
    bed.service.put("motd", content())
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert bed.statuses() == ["Compliant"]
    assert bed.target.read_text() == "wanted\n"
    (report,) = bed.service.reports
    item = bed.service.items["motd"]
    assert report["assignmentHash"] == item["assignmentHash"]
    assert (report["itemGeneration"], report["operationType"], report["seq"]) == (1, "Initial", 1)
    assert report["configuration"] == {"name": "FilePolicy", "version": "1.2.0"}
    assert report["resources"][0]["resourceId"] == "[nxFile]motd"
    assert report["resources"][0]["reasons"]
    assert report["engine"]["cpuLimitPercent"] is None


async def test_the_folder_holds_the_document_and_the_settings_of_the_assignment(bed, content):
    bed.service.put("motd", content(minutes=60), mode="ApplyAndMonitor")
    async with bed.running():
        await bed.pass_time(minutes=6)
    settings = json.loads((bed.folder("motd") / "FilePolicy.metaconfig.json").read_text())
    assert (bed.folder("motd") / "FilePolicy.mof").is_file()
    assert settings["configurationMode"] == "ApplyAndMonitor"
    assert settings["configurationModeFrequencyMins"] == 60
    assert sorted(path.name for path in bed.layout["configurations"].iterdir()) == ["motd"]


async def test_six_hours_are_a_pull_every_five_minutes_and_a_run_every_fifteen(bed, content):
    bed.service.put("motd", content(), mode="Audit")
    async with bed.running():
        await bed.pass_time(minutes=6)
        pulls, reports = len(bed.service.pulls), len(bed.service.reports)
        await bed.pass_time(hours=6)
    gaps = bed.service.pulls[pulls:]
    assert 66 <= len(gaps) <= 80
    assert len(bed.service.reports) - reports == 24
    conditional = [request for _, request in gaps if "if-none-match" in request.headers]
    assert len(conditional) == len(gaps)


async def test_an_assignment_that_is_not_in_the_answer_any_more_is_removed(bed, content):
    bed.service.put("motd", content())
    async with bed.running() as gcad:
        await bed.pass_time(minutes=6)
        bed.service.delete("motd")
        await bed.pass_time(minutes=6)
        assert not len(gcad.store)
    assert not bed.folder("motd").exists()
    assert not list(bed.layout["assignments"].iterdir())
    assert not list(bed.layout["packages"].iterdir())


async def test_a_put_without_changes_makes_it_run_as_pending_once(bed, content):
    bed.service.put("motd", content(), mode="ApplyAndMonitor")
    async with bed.running():
        await bed.pass_time(minutes=6)
        bed.target.write_text("drift\n")
        await bed.pass_time(minutes=40)
        assert bed.statuses()[-1] == "NonCompliant"
        assert bed.target.read_text() == "drift\n"
        bed.service.put("motd", content(), mode="ApplyAndMonitor")
        await bed.pass_time(minutes=6)
    assert bed.statuses()[-1] == "Compliant"
    assert bed.target.read_text() == "wanted\n"
    assert bed.service.reports[-1]["itemGeneration"] == 2
    assert bed.service.reports[-1]["operationType"] == "Initial"


async def test_drift_is_reported_first_and_repaired_at_the_next_run(bed, content):
    bed.service.put("motd", content())
    async with bed.running():
        await bed.pass_time(minutes=6)
        bed.target.write_text("drift\n")
        await bed.pass_time(minutes=15)
        assert bed.statuses()[-1] == "NonCompliant"
        assert bed.target.read_text() == "drift\n"
        await bed.pass_time(minutes=15)
    assert bed.statuses()[-1] == "Compliant"
    assert bed.target.read_text() == "wanted\n"


async def test_drift_is_repaired_at_once_where_that_is_set(bed, content):
    bed.configure(**{"gcad.repair": "immediate"})
    bed.service.put("motd", content())
    async with bed.running():
        await bed.pass_time(minutes=6)
        bed.target.write_text("drift\n")
        await bed.pass_time(minutes=15)
    assert bed.statuses()[-1] == "Compliant"
    assert bed.target.read_text() == "wanted\n"


async def test_after_a_start_the_next_run_is_three_minutes_away(bed, content):
    bed.service.put("motd", content(minutes=60))
    async with bed.running():
        await bed.pass_time(minutes=6)
        bed.target.write_text("drift\n")
    before = len(bed.service.reports)
    async with bed.running():
        await bed.pass_time(minutes=3)
    assert len(bed.service.reports) == before + 1
    assert bed.statuses()[-1] == "NonCompliant"


async def test_apply_once_is_evaluated_once(bed, content):
    bed.service.put("motd", content(), mode="ApplyOnce")
    async with bed.running():
        await bed.pass_time(minutes=6)
        bed.target.write_text("drift\n")
        await bed.pass_time(hours=2)
    assert bed.statuses() == ["Compliant"]
    assert bed.target.read_text() == "drift\n"


async def test_the_tag_makes_custom_packages_audit_only(bed, content):
    bed.identity.named = {"CustomGuestConfigurationSetPolicy": "disable"}
    bed.service.put("motd", content())
    async with bed.running():
        await bed.pass_time(minutes=40)
    assert set(bed.statuses()) == {"NonCompliant"}
    assert not bed.target.exists()


async def test_what_is_outside_the_agents_root_is_not_changed_without_leave(bed, tmp_path):
    from .conftest import mof, package

    outside = tmp_path / "outside.txt"
    bed.service.put("motd", package(mof(outside)))
    async with bed.running():
        await bed.pass_time(minutes=40)
        assert bed.statuses()[-1] == "NonCompliant"
        assert not outside.exists()
    bed.configure(**{"gcad.allowHostChanges": True})
    bed.service.put("motd", package(mof(outside)))
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert bed.statuses()[-1] == "Compliant"
    assert outside.read_text() == "wanted\n"


async def test_fifty_assignments_are_evaluated_one_after_another(bed, content):
    for number in range(50):
        bed.service.put(f"policy-{number:02d}", content(), mode="Audit")
    async with bed.running() as gcad:
        await bed.pass_time(minutes=6)
        assert gcad.scheduler.busy == ""
    assert len({report["assignmentName"] for report in bed.service.reports}) == 50
    log = bed.log_text()
    running = 0
    for line in log.splitlines():
        if "Run Consistency for" in line:
            running += 1
            assert running == 1
        if "execution completed" in line:
            running -= 1


# -- gates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [{"guestconfiguration.enabled": False}, {"config.mode": "monitor"}])
async def test_a_policy_agent_that_is_switched_off_asks_nothing(bed, content, values):
    bed.configure(**values)
    bed.service.put("motd", content())
    async with bed.running():
        await bed.pass_time(hours=1)
    assert bed.service.requests == []


async def test_switched_on_again_it_goes_on(bed, content):
    bed.configure(**{"guestconfiguration.enabled": False})
    bed.service.put("motd", content())
    async with bed.running() as gcad:
        await bed.pass_time(minutes=10)
        bed.configure(**{"guestconfiguration.enabled": True})
        await gcad.ipc._methods["reload"]({}, None)
        await bed.pass_time(minutes=6)
    assert bed.statuses() == ["Compliant"]


async def test_a_machine_that_is_not_connected_asks_nothing_and_empties_the_store(bed, content):
    bed.service.put("motd", content())
    async with bed.running() as gcad:
        await bed.pass_time(minutes=6)
        bed.identity.machine = AgentConfig()
        await gcad.ipc._methods["reload"]({}, None)
        assert not bed.folder("motd").exists()
        asked = len(bed.service.requests)
        await bed.pass_time(hours=1)
    assert len(bed.service.requests) == asked
    assert not list(bed.layout["assignments"].iterdir())
    assert not bed.layout["policy_compliance"].exists()


async def test_news_is_pulled_at_once(bed, content):
    async with bed.running() as gcad:
        await bed.pass_time(minutes=6)
        bed.service.put("motd", content())
        await gcad.ipc._methods["pull"]({}, None)
        await bed.pass_time(seconds=1)
    assert bed.statuses() == ["Compliant"]


async def test_news_that_comes_during_a_pull_leads_to_another(bed, content):
    answer = bed.service.pull

    async with bed.running() as gcad:
        await bed.pass_time(minutes=6)

        def overtaken(request):
            found = answer(request)
            bed.service.pull = answer
            bed.service.put("motd", content())
            gcad.pulls.now()
            return found

        bed.service.pull = overtaken
        before = len(bed.service.pulls)
        gcad.pulls.now()
        await bed.pass_time(seconds=1)
        assert len(bed.service.pulls) - before == 2
    assert bed.statuses() == ["Compliant"]


# -- logs and metadata ---------------------------------------------------------------------------------------


async def test_the_logs_have_the_lines_that_field_scripts_look_for(bed, content):
    bed.service.put("motd", content())
    async with bed.running():
        await bed.pass_time(minutes=6)
    agent = bed.log_text()
    assert all(LINE.match(line) for line in agent.splitlines()), agent
    assert "Created Assignment_Heartbeat timer" in agent
    assert "Run Consistency for 'motd'" in agent
    assert "Starting consistency for motd" in agent
    assert re.search(r"run_consistency for 'motd' execution completed in \d+ seconds", agent)
    worker = bed.log_text("gc_worker_log").splitlines()
    assert LINE.match(worker[0])
    assert worker[1].startswith("Job {")
    steps = [line for line in worker if line.startswith("LCM: ")]
    assert any(re.match(r"LCM: \[ Start +Test +\] \[\[nxFile\]motd\]", line) for line in steps), steps
    assert any(
        re.match(r"LCM: \[ End +Set +\] \[\[nxFile\]motd\] in \d+\.\d{3} seconds", line) for line in steps
    )


async def test_log_lines_are_in_local_time(bed, monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        async with bed.running():
            pass
    finally:
        monkeypatch.undo()
        time.tzset()
    assert bed.log_text().startswith("[2026-01-01 09:00:00.000]")


async def test_compliance_is_left_for_the_machines_metadata(bed, content):
    from arcbed_agent.detected import detected

    bed.service.put("motd", content(), mode="Audit")
    async with bed.running():
        await bed.pass_time(minutes=6)
        assert detected(bed.layout) == {
            "policyComplianceStatus": "NonCompliant",
            "policyComplianceDetails": "motd: NonCompliant",
        }
        bed.service.delete("motd")
        await bed.pass_time(minutes=6)
        assert detected(bed.layout) == {}


# -- what the service may answer -----------------------------------------------------------------------------


async def test_a_refused_token_is_replaced_once(bed):
    bed.service.script("/assignments", refusal(401, "TokenExpired"))
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert [bypass for _, bypass in bed.identity.tokens][:2] == [False, True]
    assert len(bed.service.pulls) >= 2


async def test_a_missing_regional_endpoint_is_logged_as_the_product_does(bed):
    bed.service.script("/discovery", refusal(404, "AgentServiceEndpointNotFound"))
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert "Failed to get regional end_point info. Status Code '404'" in bed.log_text()
    assert bed.service.pulls


async def test_a_machine_that_is_gone_is_asked_for_less_and_keeps_its_assignments(bed, content):
    bed.service.put("motd", content())
    async with bed.running():
        await bed.pass_time(minutes=6)
        bed.service.script("/assignments?", *[refusal(404, "MachineNotFound") for _ in range(400)])
        before = len(bed.service.pulls)
        await bed.pass_time(hours=6)
        assert len(bed.service.pulls) - before < 40
        assert bed.folder("motd").exists()


async def test_three_failures_open_the_circuit_and_only_the_period_tries(bed, content):
    bed.service.put("motd", content(), mode="Audit")
    async with bed.running():
        await bed.pass_time(minutes=6)
        bed.service.away = True
        before = bed.clock.now()
        await bed.pass_time(hours=5)
        tried = [at for at, request in bed.service.pulls if at > before]
        gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(tried[3:])]
        assert all(270 <= gap <= 330 for gap in gaps)
        reports = [at for at, request in bed.service.asked("PUT", "/reports/") if at > before]
        assert len(reports) <= 3


async def test_an_unusable_name_is_refused_and_the_others_go_on(bed, content):
    bed.service.put("motd", content())
    bed.service.items["../evil"] = {**bed.service.items["motd"], "name": "../evil"}
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert bed.statuses() == ["Compliant"]
    assert "Assignment '../evil' cannot be used" in bed.log_text()
    assert not (bed.layout["guest_config"] / "evil").exists()


async def test_the_worker_is_told_where_the_service_is(bed, content, monkeypatch):
    seen = []
    from arcbed_agent.gcad.workers import Workers

    run = Workers.run

    async def spy(self, task, arguments, environment, limit):
        seen.append(arguments)
        return await run(self, task, arguments, environment, limit)

    monkeypatch.setattr(Workers, "run", spy)
    bed.service.put("motd", content())
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert seen[0] == [
        *("-o", "run_consistency", "-a", "motd", "-p", str(bed.folder("motd")), "-r"),
        *("-s", "inguest_apply_and_monitor", "-c", "Pending", "-g", f"{GAS}/virtualMachines/{VM_ID}"),
    ]


async def test_an_answer_in_pages_is_read_to_its_end(bed, content):
    bed.service.put("first", content(), mode="Audit")
    bed.service.put("second", content(), mode="Audit")
    items = list(bed.service.items.values())
    link = f"{GAS}/virtualMachines/{VM_ID}/assignments?api-version=sim-1&generation=3&after=first"
    head = {"generation": 3, "nextSeconds": 300, "value": items[:1], "dropped": [], "nextLink": link}
    tail = {"generation": 3, "nextSeconds": 300, "value": items[1:], "dropped": []}
    bed.service.script("after=first", httpx.Response(200, json=tail))
    bed.service.script("/assignments?", httpx.Response(200, json=head, headers={"etag": '"assignments.3"'}))
    async with bed.running() as gcad:
        await bed.pass_time(minutes=5)
        assert [item.name for item in gcad.store] == ["first", "second"]


async def test_a_next_page_on_another_host_gets_no_token(bed):
    head = {"nextSeconds": 300, "value": [], "dropped": [], "nextLink": "https://evil.test/x"}
    bed.service.script("/assignments?", httpx.Response(200, json=head))
    async with bed.running():
        await bed.pass_time(minutes=6)
    assert bed.service.asked("GET", "evil.test") == []
