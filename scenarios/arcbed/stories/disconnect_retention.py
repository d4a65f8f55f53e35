"""Assignments outlive 14 days without Azure to the second, and not one second more."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from arcbed.harness import Bed, Machine, arc, policies
from arcbed.harness.checks import contains, equal, exited, true
from arcbed.harness.policies import Content, compliance, policy_state
from arcbed.harness.scenario import scenario
from arcbed.harness.tally import Tally, beats

GROUP = "rg-retention"
PERIOD = timedelta(minutes=5)
SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
PULL = {"task": "web-01/gcad/pull", "method": "GET", "route": "/virtualMachines/{id}/assignments"}
BEAT = {"task": "web-01/himds/heartbeat", "method": "POST", "route": "/machine/{id}/heartbeat"}
REPORTS = "/virtualMachines/{{id}}/assignments/{}/reports/{{id}}"
#: A policy's, audited only; and one made directly, which repairs.
AUDITED, REPAIRED = "MotdAudited", "IssueRepaired"
MADE, CHANGED, DELETED = "MadeMeanwhile", "ChangedMeanwhile", "DeletedMeanwhile"
FAILED = "Failed to update assignments"


@dataclass(frozen=True)
class Rules:
    """How long assignments are kept; a test tells the story with hours in place of days."""

    window: timedelta = timedelta(days=14)
    #: How long the machine is connected before and between its silences.
    calm: timedelta = timedelta(days=5)
    #: Between two evaluations.
    minutes: int = 240


@dataclass
class Stage:
    """What the acts of the story share."""

    bed: Bed
    rules: Rules
    tally: Tally
    web: Machine
    assigned: str = ""
    contents: dict[str, Content] = field(default_factory=dict)

    def target(self, name: str) -> str:
        """The file that the configuration `name` wants, as the machine knows it."""
        return str(self.web.root / "srv" / name)

    def wanted(self, name: str) -> str:
        """What is to be in it."""
        return f"as {name} wants it"

    async def offer(self, name: str) -> Content:
        """A package of that name, ready to be fetched."""
        package = policies.file_package(
            name, self.target(name), self.wanted(name), minutes=self.rules.minutes
        )
        self.contents[name] = await policies.upload(self.bed, name, package)
        return self.contents[name]

    def written(self, name: str, text: str) -> None:
        """Somebody writes into the file of a configuration."""
        (self.web.root / "srv" / name).write_text(text)

    def text(self, name: str) -> str:
        """What is in it."""
        return (self.web.root / "srv" / name).read_text()

    def there(self, name: str) -> bool:
        """Whether the package is on the machine."""
        return (self.web.path("configurations") / name / f"{name}.mof").exists()

    def log(self) -> str:
        """gc_agent.log."""
        return self.web.path("gc_agent_log").read_text()

    async def contact(self) -> datetime:
        """When gcad has reached the service last."""
        found = await self.tally.events(datetime(2026, 1, 1, tzinfo=UTC), await self.soon(), **PULL)
        return datetime.fromisoformat(found["last"])

    async def soon(self) -> datetime:
        """The first instant after now."""
        return await self.bed.time.now() + SECOND

    async def touch(self) -> datetime:
        """Let gcad pull after exactly one second, and then at the service's pace again."""
        exited(await self.web.azcmagent("config", "set", "gcad.pullSeconds", "1"), 0)
        await self.bed.advance(SECOND)
        now = await self.bed.time.now()
        exited(await self.web.azcmagent("config", "clear", "gcad.pullSeconds"), 0)
        return now


@scenario(
    "Assignments survive 14 days offline and are gone a second later",
    options=arc.STEPPED,
    long=True,
)
async def story(bed: Bed) -> None:
    """Eighty days of one machine on the bed's clock, its heartbeats, pulls, reports and failures all real.

    Two assignments, one of a policy that audits a file and one made directly that repairs another. The
    machine is cut off for five minutes less than 14 days, for exactly 14 days and for one second more; after
    it has come back it is cut off a second time, and at last its agent is stopped instead of its network.
    Pulls and heartbeats come every 300 seconds without the usual spread, so that their number is known.
    """
    await retention(bed, Rules())


async def retention(bed: Bed, rules: Rules) -> None:
    """The story with other rules."""
    stage = await prepared(bed, rules)
    await connected_and_compliant(stage)
    await calm(stage)
    await five_minutes_less(stage)
    await exactly_so_long(stage)
    await one_second_more(stage)
    await comes_back_by_a_put(stage)
    await stopped_instead(stage)


async def prepared(bed: Bed, rules: Rules) -> Stage:
    """A machine with its agent, not connected yet."""
    await arc.prepare(bed, GROUP, with_policies=True)
    steady = {"himds.jitterPercent": 0, "gcad.jitterPercent": 0}
    web = await bed.machine("web-01", resource_group=GROUP, config=steady, cuttable=True)
    return Stage(bed, rules, Tally(bed), web)


async def connected_and_compliant(stage: Stage) -> None:
    """A policy and an assignment made by hand, both compliant."""
    bed, web = stage.bed, stage.web
    async with bed.step(
        "Connected, assigned, published and compliant",
        ["policy.assignment-arrives", "policy.audit-assignment", "policy.report-is-state"],
    ):
        exited(await web.command("mkdir", "-p", str(web.root / "srv")), 0)
        stage.written(AUDITED, stage.wanted(AUDITED))
        stage.written(REPAIRED, "something else")
        await arc.connect(bed, web)
        stage.assigned = await policies.audit_policy(bed, GROUP, await stage.offer(AUDITED))
        (await policies.assign(bed, web, await stage.offer(REPAIRED))).expect_ok()
        await bed.advance(HOUR)
        for name in (AUDITED, REPAIRED):
            true(f"{name} is published", stage.there(name))
            equal(f"{name} in ARM", await compliance(bed, web, name), "Compliant")
        equal("the file was set right", stage.text(REPAIRED), stage.wanted(REPAIRED))
        equal("the policy", await policy_state(bed, web, stage.assigned), "Compliant")


async def calm(stage: Stage) -> None:
    """Connected days, counted."""
    bed, rules, tally = stage.bed, stage.rules, stage.tally
    async with bed.step(
        "Connected days hold what they must", ["status.heartbeat", "policy.pull-every-5-min"]
    ):
        # What happens at the very start belongs to the time before, what happens at the very end to this.
        begin = await bed.time.now()
        await bed.advance(rules.calm)
        since, until = begin + INSTANT, await bed.time.now() + INSTANT
        pulls = await tally.events(since, until, **PULL)
        heard = await tally.events(since, until, **BEAT)
        tally.row("heartbeats", heard["statuses"], {"200": beats(rules.calm, PERIOD)}, "one every 300 s")
        tally.row(
            "pulls, all answered 304",
            pulls["statuses"],
            {"304": beats(rules.calm, PERIOD)},
            "one every 300 s; nothing has changed",
        )
        for name in (AUDITED, REPAIRED):
            sent = await tally.events(since, until, method="PUT", route=REPORTS.format(name))
            tally.row(
                f"reports of {name}",
                sent["statuses"],
                {"201": beats(rules.calm, timedelta(minutes=rules.minutes))},
                f"one evaluation every {rules.minutes} minutes, each told",
            )
        tally.table("What connected days must contain")


async def five_minutes_less(stage: Stage) -> None:
    """Everything goes on locally, and is applied again afterwards."""
    bed, web, rules, tally = stage.bed, stage.web, stage.rules, stage.tally
    async with bed.step("Cut off: drift is seen and repaired locally", ["policy.evaluates-offline"]):
        last = await stage.contact()
        before = stage.log().count(FAILED)
        frozen = (await policies.guest(bed, web, AUDITED)).body["properties"]["lastComplianceStatusChecked"]
        async with web.cut_off("unreachable"):
            for name in (AUDITED, REPAIRED):
                stage.written(name, "drift")
            await bed.advance(2 * timedelta(minutes=rules.minutes))
            equal("what repairs has repaired", stage.text(REPAIRED), stage.wanted(REPAIRED))
            equal("what audits has not", stage.text(AUDITED), "drift")
            equal("ARM knows nothing of it", await compliance(bed, web, AUDITED), "Compliant")
            await bed.time.advance_to(last + rules.window - PERIOD - SECOND)
            failures = stage.log().count(FAILED) - before
            first = failed_at(stage.log(), before)
            tally.row(
                "failed pulls",
                failures,
                offline_attempts(first, last + rules.window - PERIOD - SECOND),
                "the first three close together, then one every 300 s: the circuit is open",
            )
            tally.row(
                "seconds from the last pull to the first failed one", first[0] - last, PERIOD, "its period"
            )
            tally.table("What the silence must contain")

    async with bed.step("Back 5 minutes early: all is applied again", ["policy.reapplied-within-14-days"]):
        seen = len(await policies.reports(bed, web, AUDITED))
        now = await stage.touch()
        equal("the gap", now - last, rules.window - PERIOD)
        found = await policies.reports(bed, web, AUDITED)
        equal("new reports of what was audited: the queued one, then a fresh one", len(found) - seen, 2)
        newest = await newest_report(stage, AUDITED)
        equal("operationType of the fresh one", newest["operationType"], "Initial")
        equal("in ARM", await compliance(bed, web, AUDITED), "NonCompliant")
        equal("what repairs", await compliance(bed, web, REPAIRED), "Compliant")
        checked = (await policies.guest(bed, web, AUDITED)).body["properties"]["lastComplianceStatusChecked"]
        true("it was frozen until now", checked > frozen, f"{frozen} and {checked}")
        contains("gc_agent.log", stage.log(), "assignments are applied again")

    async with bed.step("Set right, the policy is content again", ["policy.evaluates-offline"]):
        stage.written(AUDITED, stage.wanted(AUDITED))
        await bed.advance(timedelta(minutes=rules.minutes) + HOUR)
        equal("the policy", await policy_state(bed, web, stage.assigned), "Compliant")


async def exactly_so_long(stage: Stage) -> None:
    """The last instant inside."""
    bed, web, rules = stage.bed, stage.web, stage.rules
    async with bed.step("Exactly 14 days: still inside", ["policy.exactly-14-days-is-inside"]):
        last = await stage.contact()
        async with web.cut_off("unreachable"):
            await bed.time.advance_to(last + rules.window - SECOND)
        now = await stage.touch()
        equal("the gap", now - last, rules.window)
        for name in (AUDITED, REPAIRED):
            true(f"{name} is there", stage.there(name))
            equal(f"{name} in ARM", await compliance(bed, web, name), "Compliant")
        equal("nothing was dropped", dropped(stage.log()), set())
        equal("the policy", await policy_state(bed, web, stage.assigned), "Compliant")


async def one_second_more(stage: Stage) -> None:
    """Gone on both ends; what was made or changed meanwhile is not."""
    bed, web, rules = stage.bed, stage.web, stage.rules
    async with bed.step("Two more assignments", ["policy.assignment-arrives"]):
        for name in (CHANGED, DELETED):
            (await policies.assign(bed, web, await stage.offer(name))).expect_ok()
        await bed.advance(HOUR)
        equal("both", {await compliance(bed, web, name) for name in (CHANGED, DELETED)}, {"Compliant"})

    async with bed.step("14 days are over: nothing is left on the machine", ["policy.gone-after-14-days"]):
        last = await stage.contact()
        async with web.cut_off("unreachable"):
            await bed.time.advance_to(last + rules.window / 2)
            (await policies.assign(bed, web, await stage.offer(MADE))).expect_ok()
            (await policies.assign(bed, web, stage.contents[CHANGED], mode="ApplyAndMonitor")).expect_ok()
            (await bed.cloud.arm.delete(policies.assignment_id(bed, web, DELETED), "2024-04-05")).expect_ok()
            await bed.time.advance_to(last + rules.window)
            true("at exactly 14 days they are there", all(map(stage.there, (AUDITED, REPAIRED, DELETED))))
            await bed.advance(SECOND)
            equal("a second later", [name for name in stage.contents if stage.there(name)], [])
            lines = re.findall(r"Assignment '(\w+)' is deleted: no contact", stage.log())
            equal("one line for each", sorted(lines), sorted((AUDITED, REPAIRED, CHANGED, DELETED)))
            equal("ARM does not know yet", await compliance(bed, web, REPAIRED), "Compliant")
            await bed.advance(HOUR)

    async with bed.step(
        "Reconnected: they are not assigned again",
        ["policy.gone-after-14-days", "policy.untouched-by-retention"],
    ):
        await stage.touch()
        await bed.advance(HOUR)
        equal("dropped", dropped(stage.log()), {AUDITED, REPAIRED})
        for name in (AUDITED, REPAIRED):
            true(f"{name} is not there", not stage.there(name))
            equal(f"{name} in ARM", await compliance(bed, web, name), "Pending")
        equal("the policy", await policy_state(bed, web, stage.assigned), "NonCompliant")
        assigned = await bed.cloud.arm.get(stage.assigned, policies.POLICY_VERSION)
        equal("the policy assignment itself", assigned.status, 200)

    async with bed.step("What was made or changed meanwhile is delivered", ["policy.changed-while-away"]):
        for name in (MADE, CHANGED):
            true(f"{name} is there", stage.there(name))
            equal(f"{name} in ARM", await compliance(bed, web, name), "Compliant")
        true("what was deleted is not", not stage.there(DELETED))
        equal("and ARM has forgotten it", (await policies.guest(bed, web, DELETED)).status, 404)

    async with bed.step("Days later nothing has changed", ["policy.gone-after-14-days"]):
        await bed.advance(rules.calm)
        equal("there", {name for name in stage.contents if stage.there(name)}, {MADE, CHANGED})
        equal("in ARM", await compliance(bed, web, AUDITED), "Pending")
        equal("the policy", await policy_state(bed, web, stage.assigned), "NonCompliant")


async def comes_back_by_a_put(stage: Stage) -> None:
    """The way back, and a second silence that is a new one."""
    bed, web, rules = stage.bed, stage.web, stage.rules
    async with bed.step("A new PUT brings them back", ["policy.put-brings-back"]):
        for name, mode in ((AUDITED, "Audit"), (REPAIRED, "ApplyAndAutoCorrect")):
            (await policies.assign(bed, web, stage.contents[name], mode=mode)).expect_ok()
        await bed.advance(HOUR)
        for name in (AUDITED, REPAIRED):
            true(f"{name} is there", stage.there(name))
            equal(f"{name} in ARM", await compliance(bed, web, name), "Compliant")
        equal("the policy", await policy_state(bed, web, stage.assigned), "Compliant")

    async with bed.step(
        "A second silence counts from its own beginning", ["policy.reapplied-within-14-days"]
    ):
        last = await stage.contact()
        async with web.cut_off("unreachable"):
            await bed.time.advance_to(last + rules.window - PERIOD)
        now = await stage.touch()
        equal("the gap", now - last, rules.window - PERIOD + SECOND)
        true("they are there", all(map(stage.there, (AUDITED, REPAIRED, MADE, CHANGED))))
        equal("in ARM", await compliance(bed, web, REPAIRED), "Compliant")


async def stopped_instead(stage: Stage) -> None:
    """An agent that is stopped is as silent as one that is cut off."""
    bed, web, rules = stage.bed, stage.web, stage.rules
    async with bed.step("The agent is stopped instead: gone when it starts", ["policy.gone-after-14-days"]):
        last = await stage.contact()
        await web.stop()
        await bed.time.advance_to(last + rules.window + SECOND)
        true("nobody was there to delete them", stage.there(REPAIRED))
        await web.start()
        equal("they are deleted first of all", [name for name in stage.contents if stage.there(name)], [])
        await bed.advance(HOUR)
        equal("dropped", dropped(stage.log()), {AUDITED, REPAIRED, MADE, CHANGED})
        equal("in ARM", await compliance(bed, web, REPAIRED), "Pending")


async def found_in_arm(stage: Stage) -> int:
    """The status of a GET of the assignment that repairs."""
    return (await policies.guest(stage.bed, stage.web, REPAIRED)).status


def dropped(log: str) -> set[str]:
    """Names that the service has not assigned again."""
    return set(re.findall(r"Assignment '(\w+)' is not reassigned", log))


def failed_at(log: str, skip: int) -> list[datetime]:
    """When pulls have failed; lines are in the machine's time zone, which is UTC in a bed."""
    found = re.findall(rf"^\[([\d :.-]+)\].*{FAILED}", log, re.MULTILINE)
    return [datetime.fromisoformat(text).replace(tzinfo=UTC) for text in found[skip:]]


def offline_attempts(seen: list[datetime], end: datetime) -> int:
    """How many there must be: three until the circuit opens, then one every period."""
    return 3 + beats(end - seen[2], PERIOD)


async def newest_report(stage: Stage, name: str) -> dict[str, object]:
    """The details of the newest report of an assignment."""
    listed = await policies.reports(stage.bed, stage.web, name)
    path = f"{policies.assignment_id(stage.bed, stage.web, name)}/reports/{listed[0]['reportId']}"
    answer = (await stage.bed.cloud.arm.get(path, policies.GUEST_VERSION)).expect_ok()
    details: dict[str, object] = answer.body["properties"]["details"]
    return details
