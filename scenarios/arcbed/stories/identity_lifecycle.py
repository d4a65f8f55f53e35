"""A machine's identity from its first certificate to its last: renewal, expiry, and a new beginning."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from arcbed.harness import Bed, Machine, arc
from arcbed.harness.checks import equal, exited, true
from arcbed.harness.scenario import scenario
from arcbed.harness.tally import Tally, beats

GROUP = "rg-identity"
PERIOD = timedelta(minutes=5)
SILENCE = timedelta(minutes=15)
SECOND = timedelta(seconds=1)
SPREAD = timedelta(days=1)
FOUR_HOURS = timedelta(hours=4)
#: Attempts that follow a failure at once, before a host's circuit opens (docs/wire.md, section 15).
QUICK = 2
#: Hosts that a cut machine fails at: its region's service, then the global one that it asks for another.
#: Among processes all services are on one host.
FAILING_HOSTS = {"process": 1}
HEARTBEAT = {"method": "POST", "route": "/machine/{id}/heartbeat"}
IDENTITY = {"method": "POST", "route": "/machine/{id}/identity"}


@dataclass(frozen=True)
class Rules:
    """How long a certificate lives, and at which age it is renewed."""

    life: timedelta = timedelta(days=90)
    renewal: timedelta = timedelta(days=45)


@scenario(
    "A certificate is renewed at 45 days, expires at 90, and only connecting anew helps",
    options=arc.STEPPED,
    long=True,
)
async def story(bed: Bed) -> None:
    """Months of two machines on the bed's clock, every heartbeat of it really sent over TLS.

    One machine stays connected past its renewal and then falls silent: its second certificate ends 90 days
    after the renewal. The other falls silent just before it would have renewed: its only certificate ends 45
    days later. Heartbeats come every 300 seconds without the usual spread, so that their number is known.
    """
    await lifecycle(bed, Rules())


async def lifecycle(bed: Bed, rules: Rules) -> None:
    """The story with other rules: a test tells it in days instead of months."""
    tally = Tally(bed)
    begin = await bed.time.now()
    await arc.prepare(bed, GROUP)
    steady = {"himds.jitterPercent": 0}
    kept = await bed.machine("kept-01", resource_group=GROUP, config=steady, cuttable=True)
    lost = await bed.machine("lost-01", resource_group=GROUP, config=steady)

    async with bed.step("Connected, with a certificate for 90 days", ["certificate.life"]):
        for machine in (kept, lost):
            await arc.connect(bed, machine)
            equal("status", await arc.status(machine), "Connected")
            equal("end of the certificate", await ends(bed, machine), begin + rules.life)
        await lost.stop()

    await renews(bed, tally, kept, begin, rules)
    await is_cut_off(bed, tally, kept)
    await falls_silent(bed, tally, lost, begin, rules)
    await begins_anew(bed, tally, kept)


async def renews(bed: Bed, tally: Tally, kept: Machine, begin: datetime, rules: Rules) -> None:
    """One machine goes on; the other comes back for ten minutes, just before its renewal is due."""
    async with bed.step("No renewal before 45 days", ["certificate.renewed-at-half"]):
        await bed.time.advance_to(begin + rules.renewal - timedelta(minutes=10))
        equal("end of the certificate", await ends(bed, kept), begin + rules.life)

    lost = bed.machines[1]
    async with bed.step(
        "The other one says a last word just before its renewal is due", ["status.comes-back"]
    ):
        equal("status after a long silence", await arc.status(lost), "Disconnected")
        await lost.start()
        await bed.advance(minutes=9, seconds=59)
        equal("status", await arc.status(lost), "Connected")
        await lost.stop()

    async with bed.step("Renewed within a day after 45 days", ["certificate.renewed-at-half"]):
        due = begin + rules.renewal
        await bed.time.advance_to(due + SPREAD + PERIOD)
        now = await bed.time.now()
        asked = await tally.events(begin, now + SECOND, task="kept-01/himds/heartbeat", **IDENTITY)
        renewed = read(asked["first"])
        equal(
            "end of the new certificate", await ends(bed, kept), renewed.replace(microsecond=0) + rules.life
        )
        true("the renewal is between 45 and 46 days", due <= renewed <= due + SPREAD + PERIOD, renewed)
        sent = await tally.events(begin, now + SECOND, task="kept-01/himds/heartbeat", **HEARTBEAT)
        length = now - begin
        tally.row(
            "heartbeats of kept-01",
            sent["statuses"],
            {"200": beats(length, PERIOD)},
            f"one every 300 s in {length}; the one of `connect` is counted apart",
        )
        first = await tally.events(begin, now + SECOND, task="kept-01/himds/connect", **HEARTBEAT)
        tally.row("first heartbeats of kept-01", first["count"], 1, "`connect` sends it")
        tally.row("renewals of kept-01", asked["count"], 1, f"due at {due}, spread over a day: {renewed}")
        tally.row(
            "beat that renewed",
            (renewed - begin) % PERIOD,
            timedelta(),
            "a renewal comes with a heartbeat, so at a whole number of periods",
        )
        tally.table("What these days must contain")


async def is_cut_off(bed: Bed, tally: Tally, kept: Machine) -> None:
    """Four hours without a way to Azure: every attempt is made and fails, and both ends know."""
    async with bed.step(
        "Cut off: attempts fail at the pace of heartbeats",
        ["status.disconnected", "status.failed-heartbeat-is-logged"],
    ):
        await kept.stop()
        await kept.start()
        begin = await bed.time.now()
        await bed.advance(PERIOD)
        now = await bed.time.now()
        heard = await tally.events(begin, now + SECOND, task="kept-01/himds/heartbeat", **HEARTBEAT)
        last, before = read(heard["last"]), failures(kept)
        async with kept.cut_off("unreachable"):
            await bed.time.advance_to(last + SILENCE - SECOND)
            equal("status a second before", await arc.status(kept), "Connected")
            await bed.advance(SECOND)
            equal("status", await arc.status(kept), "Disconnected")
            await bed.time.advance_to(last + PERIOD + FOUR_HOURS + PERIOD / 2)
            equal("status on the machine", (await kept.show())["status"], "Disconnected")
            quick = QUICK * FAILING_HOSTS.get(bed.place.name, 2)
            tally.row(
                "attempts that failed",
                failures(kept) - before,
                1 + quick + beats(FOUR_HOURS, PERIOD),
                f"the beat that was due, {quick} quick ones, then one every 300 s for 4 hours",
            )
            tally.table("What the cut must contain")
    async with bed.step("The way is back: Connected within one period", ["status.comes-back"]):
        await bed.advance(PERIOD)
        equal("status", await arc.status(kept), "Connected")


async def falls_silent(bed: Bed, tally: Tally, lost: Machine, begin: datetime, rules: Rules) -> None:
    """Silent at 45 days without a renewal: Expired at 90, to the second."""
    kept, now = bed.machines[0], await bed.time.now()
    spoken = await tally.events(begin, now, task="lost-01/himds/heartbeat", **HEARTBEAT)
    last = read(spoken["last"])

    async with bed.step("Silent machines: Disconnected after 15 minutes", ["status.disconnected"]):
        await kept.stop()
        heard = await tally.events(begin, now + SECOND, task="kept-01/himds/heartbeat", **HEARTBEAT)
        await bed.time.advance_to(read(heard["last"]) + SILENCE - SECOND)
        equal("status a second before", await arc.status(kept), "Connected")
        await bed.advance(SECOND)
        equal("status", await arc.status(kept), "Disconnected")

    async with bed.step("Never renewed: Expired at 90 days, 45 after the last word", ["status.expired"]):
        end = begin + rules.life
        await bed.time.advance_to(end - SECOND)
        equal("status a second before", await arc.status(lost), "Disconnected")
        await bed.advance(SECOND)
        equal("status", await arc.status(lost), "Expired")
        equal("the other one has a newer certificate", await arc.status(kept), "Disconnected")
        tally.row(
            "whole days from the last word to Expired",
            (end - last).days,
            (rules.life - rules.renewal).days,
            f"heard last at {last}, minutes before its renewal was due",
        )
        tally.row(
            "heartbeats of lost-01 after that",
            (await tally.events(last + SECOND, end, task="lost-01/himds/heartbeat", **HEARTBEAT))["count"],
            0,
            "its agent was stopped",
        )
        tally.table("What the silence must contain")

    async with bed.step("Renewed once: Expired 90 days after the renewal", ["status.expired"]):
        end = await ends(bed, kept)
        await bed.time.advance_to(end - SECOND)
        equal("status a second before", await arc.status(kept), "Disconnected")
        await bed.advance(SECOND)
        equal("status", await arc.status(kept), "Expired")


async def begins_anew(bed: Bed, tally: Tally, kept: Machine) -> None:
    """Coming back does not help; disconnecting and connecting does."""
    async with bed.step("Back with an expired certificate: nobody lets it in", ["certificate.no-way-back"]):
        back = await bed.time.now()
        await kept.start()
        await bed.advance(hours=1)
        equal("status in ARM", await arc.status(kept), "Expired")
        equal("status on the machine", (await kept.show())["status"], "Expired")
        now = await bed.time.now()
        tally.row(
            "heartbeats that arrived",
            (await tally.events(back, now, task="kept-01/himds/heartbeat", **HEARTBEAT))["count"],
            0,
            "Entra gives no token for a certificate that has run out",
        )
        exited(await kept.connect(), 67)
        tally.table("What the attempts must contain")

    async with bed.step("Disconnected and connected anew: a new identity", ["certificate.new-beginning"]):
        before = await arc.resource(kept)
        exited(await kept.disconnect(), 0)
        equal("the resource", (await bed.cloud.machine(GROUP, "kept-01")).status, 404)
        await arc.connect(bed, kept)
        after = await arc.resource(kept)
        equal("status", after["properties"]["status"], "Connected")
        true("another vmId", after["properties"]["vmId"] != before["properties"]["vmId"], after)
        true("another identity", after["identity"]["principalId"] != before["identity"]["principalId"], after)
        began = await bed.time.now()
        await bed.advance(hours=1)
        now = await bed.time.now()
        sent = await tally.events(began + SECOND, now + SECOND, task="kept-01/himds/heartbeat", **HEARTBEAT)
        tally.row("heartbeats of the first hour", sent["statuses"], {"200": 12}, "one every 300 s")
        tally.table("What the first hour must contain")


def failures(machine: Machine) -> int:
    """How many heartbeats have failed, by the machine's own log."""
    return machine.path("himds_log").read_text().count("failed to send a heartbeat")


async def ends(bed: Bed, machine: Machine) -> datetime:
    """When the newest certificate of the machine runs out."""
    vm_id = (await arc.properties(machine))["vmId"]
    rows = (await bed.cloud.admin.call("GET", "state/identities"))["rows"]
    [found] = [row["document"] for row in rows if row["key"] == vm_id.lower()]
    return datetime.fromtimestamp(found["notAfter"], UTC)


def read(text: str) -> datetime:
    """A time as agent and event log write it."""
    return datetime.fromisoformat(text).astimezone(UTC)
