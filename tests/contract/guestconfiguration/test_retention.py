"""Fourteen days on the service's side, to the second: ``docs/wire.md`` section 11.4."""

from __future__ import annotations

import pytest

DAYS_14 = 1_209_600
ACTION = "Microsoft.GuestConfiguration/guestConfigurationAssignments/delete"


def generation(bed, name: str, machine: str = "web-01") -> int:
    return bed.cloud.assignments.get(bed.machine(machine), name).document["agent"]["itemGeneration"]


async def compliant(bed, *names: str, machine: str = "web-01") -> None:
    """Assignments that the machine has and has reported on."""
    for name in names:
        await bed.assign(name, machine)
    await bed.pull(machine)
    for name in names:
        assert (await bed.report(name, machine=machine)).json()["applied"] is True


@pytest.mark.parametrize("seconds", [DAYS_14 - 300, DAYS_14])
async def test_silence_of_up_to_fourteen_days_loses_nothing(bed, seconds):
    await compliant(bed, "Motd")
    before = await bed.shown("Motd")
    etag = (await bed.pull()).headers["etag"]
    await bed.clock.advance(seconds=seconds)
    assert await bed.shown("Motd") == before
    assert (await bed.pull(etag=etag)).status_code == 304
    assert await bed.names() == (["Motd"], [])
    assert await bed.shown("Motd") == before
    assert (await bed.report("Motd", 2, complianceStatus="NonCompliant")).json()["applied"] is True


@pytest.mark.parametrize("seconds", [DAYS_14 + 1, DAYS_14 + 300])
async def test_silence_of_a_second_more_loses_the_assignments_and_arm_shows_pending(bed, seconds):
    await compliant(bed, "Motd", "Users")
    before = await bed.shown("Motd")
    first = await bed.pull()
    await bed.clock.advance(seconds=seconds)
    assert await bed.shown("Motd") == before, "nothing happens before the machine is back"
    back = await bed.pull(etag=first.headers["etag"])
    assert back.status_code == 200
    document = back.json()
    assert (document["value"], document["dropped"]) == ([], ["Motd", "Users"])
    assert document["generation"] == first.json()["generation"] + 1
    assert await bed.shown("Motd") == before | {"complianceStatus": "Pending"}
    assert len((await bed.arm("GET", f"{bed.assignment('Motd')}/reports")).json()["value"]) == 1
    assert (await bed.pull(etag=back.headers["etag"])).status_code == 304


async def test_lost_assignments_stay_lost_until_somebody_puts_them(bed):
    await compliant(bed, "Motd", "Users")
    await bed.clock.advance(seconds=DAYS_14 + 1)
    await bed.pull()
    assert bed.cloud.assignments.lost(bed.machine(), "motd")
    for _ in range(3):
        await bed.clock.advance(days=1)
        assert await bed.names() == ([], ["Motd", "Users"])
    number = generation(bed, "Motd")
    assert (await bed.assign("Motd")).status_code == 200
    assert not bed.cloud.assignments.lost(bed.machine(), "Motd")
    assert await bed.names() == (["Motd"], ["Users"])
    assert generation(bed, "Motd") == number + 1
    assert (await bed.report("Motd", 2)).json()["applied"] is True
    assert (await bed.shown("Motd"))["complianceStatus"] == "Compliant"


async def test_report_about_a_lost_assignment_is_kept_and_changes_nothing(bed):
    await compliant(bed, "Motd")
    await bed.clock.advance(seconds=DAYS_14 + 1)
    await bed.pull()
    answer = await bed.report("Motd", 2)
    assert (answer.status_code, answer.json()["applied"]) == (201, False)
    assert (await bed.shown("Motd"))["complianceStatus"] == "Pending"


async def test_what_was_made_or_changed_meanwhile_is_given_and_what_was_deleted_is_not(bed):
    await compliant(bed, "Kept", "Changed", "Deleted", "DeletedAndMade")
    await bed.clock.advance(days=10)
    await bed.assign("Made")
    await bed.assign("Changed")
    await bed.arm("DELETE", bed.assignment("Deleted"))
    await bed.arm("DELETE", bed.assignment("DeletedAndMade"))
    await bed.assign("DeletedAndMade")
    await bed.clock.advance(days=5)
    assert await bed.names() == (["Changed", "DeletedAndMade", "Made"], ["Kept"])
    assert (await bed.shown("Kept"))["complianceStatus"] == "Pending"
    assert generation(bed, "DeletedAndMade") == 2


async def test_second_gap_after_a_first_loses_what_was_given_after_it(bed):
    await compliant(bed, "Old", "Older")
    await bed.clock.advance(seconds=DAYS_14 + 1)
    await bed.pull()
    await bed.assign("Old")
    await bed.assign("New")
    assert await bed.names() == (["New", "Old"], ["Older"])
    await bed.clock.advance(seconds=DAYS_14)
    assert await bed.names() == (["New", "Old"], ["Older"]), "the clock began anew with the last pull"
    await bed.clock.advance(seconds=DAYS_14 + 1)
    assert await bed.names() == ([], ["New", "Old", "Older"])


async def test_machines_clock_of_silence_is_its_own(bed):
    await compliant(bed, "Motd")
    await compliant(bed, "Motd", machine="web-02")
    await bed.clock.advance(days=7)
    await bed.pull("web-02")
    await bed.clock.advance(days=7, seconds=1)
    assert await bed.names("web-01") == ([], ["Motd"])
    assert await bed.names("web-02") == (["Motd"], [])


async def test_reports_are_no_pulls(bed):
    await compliant(bed, "Motd")
    await bed.clock.advance(days=10)
    await bed.report("Motd", 2)
    await bed.clock.advance(days=5)
    assert await bed.names() == ([], ["Motd"])


async def test_machine_that_has_never_pulled_gets_everything_however_late(bed):
    await bed.assign("Motd")
    await bed.clock.advance(days=30)
    assert await bed.names() == (["Motd"], [])


async def test_machine_that_is_connected_anew_has_lost_nothing(bed):
    await compliant(bed, "Motd")
    await bed.clock.advance(seconds=DAYS_14 + 1)
    await bed.pull()
    await bed.arm("DELETE", bed.machine(), version="2024-07-10")
    await bed.add_machine("web-01")
    await bed.assign("Motd")
    assert await bed.names() == (["Motd"], [])


async def test_mark_survives_the_process(bed):
    await compliant(bed, "Motd")
    await bed.clock.advance(seconds=DAYS_14 + 1)
    await bed.pull()
    await bed.restart()
    assert await bed.names() == ([], ["Motd"])


# -- a service that was not there itself ---------------------------------------------------------------------


async def test_time_without_the_service_is_no_silence_of_the_machine(bed):
    await compliant(bed, "Motd")
    await bed.clock.advance(days=3)
    await bed.restart(later=bed.days(40))
    assert await bed.names() == (["Motd"], [])


async def test_silence_before_and_after_an_outage_adds_up(bed):
    await compliant(bed, "Motd")
    await bed.clock.advance(days=3)
    await bed.restart(later=bed.days(40))
    await bed.clock.advance(days=11)
    assert await bed.names() == (["Motd"], []), "exactly fourteen days"
    await bed.restart(later=bed.days(1))
    await bed.clock.advance(seconds=DAYS_14 + 1)
    assert await bed.names() == ([], ["Motd"])


async def test_killed_service_counts_from_its_last_sign_of_life(bed):
    await compliant(bed, "Motd")
    await bed.clock.advance(days=3, minutes=30)
    await bed.restart(later=bed.days(40), killed=True)
    silence = DAYS_14 - 3 * 86_400
    await bed.clock.advance(seconds=silence)
    assert await bed.names() == (["Motd"], [])
    await bed.restart(later=bed.days(40), killed=True)
    await bed.clock.advance(seconds=DAYS_14 + 1)
    assert await bed.names() == ([], ["Motd"])


# -- settings ------------------------------------------------------------------------------------------------


class TestShortRetention:
    @pytest.fixture
    def changes(self):
        return {"retention_seconds": 600, "reapply_after_seconds": 60, "pull_seconds": 30}

    async def test_settings_hold_and_are_told_to_the_machine(self, bed):
        await bed.assign("Motd")
        told = (await bed.pull()).json()
        names = ("retentionSeconds", "reapplyAfterSeconds", "nextSeconds")
        assert [told[name] for name in names] == [600, 60, 30]
        await bed.clock.advance(seconds=600)
        assert await bed.names() == (["Motd"], [])
        await bed.clock.advance(seconds=601)
        assert await bed.names() == ([], ["Motd"])


class TestReassign:
    @pytest.fixture
    def changes(self):
        return {"reassign_after_expiry": True}

    async def test_assignments_come_back_by_themselves(self, bed):
        await compliant(bed, "Motd")
        await bed.clock.advance(seconds=DAYS_14 + 1)
        assert await bed.names() == (["Motd"], [])
        assert (await bed.shown("Motd"))["complianceStatus"] == "Compliant"


class TestDelete:
    """``armOnExpiry=delete``: the literal reading of "deleted"."""

    @pytest.fixture
    def changes(self):
        return {"arm_on_expiry": "delete"}

    async def gone(self, bed, name: str) -> bool:
        return (await bed.arm("GET", bed.assignment(name))).status_code == 404

    async def test_assignments_are_deleted_from_arm_the_second_after(self, bed):
        await compliant(bed, "Motd")
        await bed.clock.advance(days=1)
        await bed.pull()
        await bed.clock.advance(seconds=DAYS_14)
        assert not await self.gone(bed, "Motd")
        await bed.clock.advance(seconds=1)
        assert await self.gone(bed, "Motd")
        store = bed.cloud.plane.store
        assert not store.rows("reports")
        event = store.tail("activity")[-1].document
        assert (event["operation"], event["resourceId"]) == (ACTION, bed.assignment("Motd"))
        assert event["caller"] == "Microsoft.GuestConfiguration"

    async def test_tombstone_takes_the_place_of_the_mark(self, bed):
        await compliant(bed, "Motd", "Users")
        etag = (await bed.pull()).headers["etag"]
        await bed.clock.advance(seconds=DAYS_14 + 1)
        assert bed.cloud.assignments.lost(bed.machine(), "Motd")
        back = await bed.pull(etag=etag)
        assert (back.json()["value"], back.json()["dropped"]) == ([], ["Motd", "Users"])
        assert (await bed.pull(etag=back.headers["etag"])).status_code == 304
        assert (await bed.assign("Motd")).status_code == 201
        assert not bed.cloud.assignments.lost(bed.machine(), "Motd")
        assert await bed.names() == (["Motd"], ["Users"])
        assert generation(bed, "Motd") == 2

    async def test_what_was_made_meanwhile_is_not_deleted(self, bed):
        await compliant(bed, "Motd")
        await bed.clock.advance(days=10)
        await bed.assign("New")
        await bed.clock.advance(days=5)
        assert await self.gone(bed, "Motd")
        assert not await self.gone(bed, "New")
        assert await bed.names() == (["New"], ["Motd"])

    async def test_pull_at_the_very_edge_keeps_everything(self, bed):
        await compliant(bed, "Motd")
        await bed.clock.advance(seconds=DAYS_14)
        await bed.pull()
        await bed.clock.advance(seconds=DAYS_14)
        assert await bed.names() == (["Motd"], [])

    async def test_service_that_comes_back_gives_machines_a_pull_period_first(self, bed):
        await compliant(bed, "Motd")
        await bed.clock.advance(seconds=DAYS_14)
        await bed.restart(later=bed.days(5))
        await bed.clock.advance(seconds=329)
        assert not await self.gone(bed, "Motd")
        await bed.clock.advance(seconds=1)
        assert await self.gone(bed, "Motd")

    async def test_event_of_a_deletion_can_be_read_in_arm(self, bed):
        await compliant(bed, "Motd")
        await bed.clock.advance(seconds=DAYS_14 + 1)
        subscription = bed.group.partition("/resourceGroups")[0]
        since = f"{bed.clock.now():%Y-%m-%dT00:00:00Z}"
        answer = await bed.arm(
            "GET",
            f"{subscription}/providers/Microsoft.Insights/eventtypes/management/values",
            version="2015-04-01",
            query={"$filter": f"eventTimestamp ge '{since}'"},
        )
        assert answer.status_code == 200, answer.text
        found = [event for event in answer.json()["value"] if event["operationName"]["value"] == ACTION]
        assert [event["status"]["value"] for event in found] == ["Succeeded"]
