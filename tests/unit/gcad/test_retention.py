"""Fourteen days without the service, to the second. ``docs/wire.md`` section 11.4."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from scripted import VM_ID

WINDOW = timedelta(seconds=1_209_600)
SECOND = timedelta(seconds=1)


def last_contact(bed) -> datetime:
    return datetime.fromisoformat(json.loads(bed.layout["policy_sync"].read_text())["last"])


async def cut_off(bed, gcad) -> datetime:
    """Published, evaluated and reported; then away. Answers the last contact."""
    await gcad.ipc._methods["pull"]({}, None)
    await bed.pass_time(minutes=1)
    bed.service.away = True
    return last_contact(bed)


async def pass_until(bed, moment: datetime) -> None:
    await bed.clock.advance(seconds=(moment - bed.clock.now()).total_seconds())
    assert bed.clock.now() == moment


async def come_back(bed, gcad) -> None:
    bed.service.away = False
    await gcad.ipc._methods["pull"]({}, None)
    await bed.pass_time(seconds=1)


@pytest.fixture
def slow(bed, content):
    """Evaluated once a day, so that two weeks are few runs."""
    bed.configure(**{"gcad.consistencySeconds": 86_400, "gcad.pullSeconds": 14_400})
    bed.service.put("motd", content())
    return bed


async def test_at_exactly_fourteen_days_everything_is_still_there(slow):
    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
        await pass_until(slow, last + WINDOW)
        assert slow.folder("motd").exists()
        assert gcad.store.get("motd").report is not None
        await pass_until(slow, last + WINDOW + SECOND)
        assert not slow.folder("motd").exists()


async def test_one_second_later_folders_packages_results_and_queue_are_gone(slow):
    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
        await pass_until(slow, last + WINDOW + SECOND)
        assert not len(gcad.store)
        assert gcad.store.sync.purged
    for key in ("configurations", "assignments", "packages", "policy_reports"):
        assert not list(slow.layout[key].iterdir()), key
    lines = [line for line in slow.log_text().splitlines() if "is deleted: no contact" in line]
    assert len(lines) == 1
    assert "Assignment 'motd'" in lines[0]


async def test_drift_while_away_is_seen_and_repaired_locally(slow):
    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
        slow.target.write_text("drift\n")
        await pass_until(slow, last + timedelta(days=1, minutes=10))
        assert gcad.store.get("motd").status == "NonCompliant"
        await pass_until(slow, last + timedelta(days=2, minutes=10))
        assert slow.target.read_text() == "wanted\n"
        assert slow.statuses() == ["Compliant"]


async def test_back_within_the_window_packages_are_published_and_run_again(slow):
    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
        slow.target.write_text("drift\n")
        await pass_until(slow, last + timedelta(days=1, minutes=10))
        marker = slow.folder("motd") / "left"
        marker.write_text("")
        before, asked = len(slow.service.reports), len(slow.service.pulls)
        await come_back(slow, gcad)
        assert "if-none-match" not in slow.service.pulls[asked][1].headers
        assert not marker.exists()
        assert slow.target.read_text() == "wanted\n"
    queued, fresh = slow.service.reports[before:]
    assert (queued["complianceStatus"], queued["operationType"]) == ("NonCompliant", "Consistency")
    assert (fresh["complianceStatus"], fresh["operationType"]) == ("Compliant", "Initial")
    assert queued["seq"] < fresh["seq"]


async def test_only_the_newest_unsent_report_is_kept(slow):
    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
        await pass_until(slow, last + timedelta(days=5))
        before = len(slow.service.reports)
        waiting = gcad.store.get("motd").report
        await come_back(slow, gcad)
    sent = slow.service.reports[before:]
    assert sent[0] == waiting
    assert len(sent) == 2


@pytest.mark.parametrize(("seconds", "again"), [(899, False), (900, True)])
async def test_a_gap_of_fifteen_minutes_counts_as_cut_off(slow, seconds, again):
    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
        await pass_until(slow, last + timedelta(seconds=seconds))
        asked = len(slow.service.pulls)
        slow.service.away = False
        await gcad.ipc._methods["pull"]({}, None)
        await slow.pass_time(seconds=0)
        _, request = slow.service.pulls[asked]
    assert ("if-none-match" not in request.headers) == again


async def test_changed_only_leaves_what_has_not_changed(slow):
    slow.configure(**{"gcad.reapply": "changed-only"})
    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
        await pass_until(slow, last + timedelta(days=1))
        marker = slow.folder("motd") / "left"
        marker.write_text("")
        await come_back(slow, gcad)
        assert marker.exists()


async def test_after_the_purge_the_service_decides(slow):
    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
        await pass_until(slow, last + WINDOW + timedelta(days=1))
        slow.service.dropped = ["motd"]
        gone = slow.service.items.pop("motd")
        slow.service.generation += 1
        await come_back(slow, gcad)
        assert not len(gcad.store)
        assert "Assignment 'motd' is not reassigned" in slow.log_text()
        slow.service.items["motd"] = {**gone, "itemGeneration": gone["itemGeneration"] + 1}
        slow.service.dropped = []
        slow.service.generation += 1
        await come_back(slow, gcad)
        assert slow.folder("motd").exists()
    assert slow.service.reports[-1]["itemGeneration"] == 2
    assert slow.service.reports[-1]["operationType"] == "Initial"


async def test_an_agent_that_was_stopped_for_longer_purges_when_it_starts(slow):
    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
    await pass_until(slow, last + WINDOW + SECOND)
    assert slow.folder("motd").exists()
    async with slow.running() as gcad:
        assert not slow.folder("motd").exists()
        assert not len(gcad.store)


async def test_an_agent_that_was_stopped_for_exactly_so_long_keeps_them(slow):
    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
    await pass_until(slow, last + WINDOW)
    async with slow.running() as gcad:
        assert len(gcad.store) == 1
        slow.service.away = False
        await come_back(slow, gcad)
    assert slow.service.reports[-1]["operationType"] == "Initial"


async def test_a_second_gap_counts_from_the_second_contact(slow):
    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
        await pass_until(slow, last + timedelta(days=13))
        await come_back(slow, gcad)
        slow.service.away = True
        second = last_contact(slow)
        await pass_until(slow, second + timedelta(days=13))
        assert slow.folder("motd").exists()
        await pass_until(slow, second + WINDOW + SECOND)
        assert not slow.folder("motd").exists()


async def test_the_services_own_word_on_the_length_counts(slow):
    slow.service.more = {"retentionSeconds": 3_600}
    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
        await pass_until(slow, last + timedelta(hours=1))
        assert slow.folder("motd").exists()
        await pass_until(slow, last + timedelta(hours=1, seconds=1))
        assert not slow.folder("motd").exists()


async def test_refusals_do_not_count_as_contact(slow):
    from .conftest import refusal

    async with slow.running() as gcad:
        last = await cut_off(slow, gcad)
        slow.service.away = False
        slow.service.script("/assignments?", *[refusal(403, "MachineMismatch") for _ in range(200)])
        await pass_until(slow, last + WINDOW + SECOND)
        assert not slow.folder("motd").exists()


async def test_another_machine_in_the_same_place_starts_empty(slow):
    from dataclasses import replace

    async with slow.running() as gcad:
        await cut_off(slow, gcad)
    slow.identity.machine = replace(slow.identity.machine, vm_id=VM_ID.replace("9", "8"))
    async with slow.running() as gcad:
        assert not len(gcad.store)
        assert gcad.store.sync.etag == ""
