"""A run tells the product's failures from the bed's, and cleans up after both."""

from __future__ import annotations

import asyncio
import io

import pytest
from rich.console import Console

from arcbed.cli.progress import Progress
from arcbed.harness import Bed, CheckError, CloudOptions, runner
from arcbed.harness.checks import equal
from arcbed.harness.places import Place
from arcbed.harness.scenario import Scenario

CLAUSE = "onboarding.success"


def scenario(story, name="paper"):
    return Scenario(name=name, title="On paper", about="", options=CloudOptions(), story=story)


@pytest.fixture
def on_paper(monkeypatch, backend, tmp_path):
    """Beds of the runner stand on paper."""

    def make(options, **named):
        return Bed(options, **{**named, "backend": backend, "folder": tmp_path})

    monkeypatch.setattr(runner, "Bed", make)
    return backend


async def tell(story):
    return await runner.run_one(scenario(story), seed="7")


async def test_story_that_holds_passes_and_proves_its_clauses(on_paper):
    async def story(bed):
        async with bed.step("one", [CLAUSE]):
            equal("one", 1, 1)

    told = await tell(story)

    assert (told.outcome, told.error) == ("passed", "")
    assert told.clauses() == {CLAUSE: "passed"}
    assert on_paper.notes[0] == "cloud up, seed 7"


async def test_failed_check_fails_the_story_and_its_clause(on_paper):
    async def story(bed):
        async with bed.step("one"):
            pass
        async with bed.step("two", [CLAUSE]):
            equal("the answer", 41, 42)
        async with bed.step("never"):
            pass

    told = await tell(story)

    assert told.outcome == "failed"
    assert told.error == "the answer: expected 42, got 41"
    assert [(step.title, step.outcome) for step in told.steps] == [("one", "passed"), ("two", "failed")]
    assert told.clauses() == {CLAUSE: "failed"}


async def test_clause_proven_once_and_missed_later_counts_as_missed(on_paper):
    async def story(bed):
        async with bed.step("one", [CLAUSE]):
            pass
        async with bed.step("two", [CLAUSE]):
            equal("two", 1, 2)

    assert (await tell(story)).clauses() == {CLAUSE: "failed"}


async def test_unexpected_exception_breaks_the_bed_and_shows_where(on_paper):
    async def story(bed):
        async with bed.step("one"):
            {}["missing"]

    told = await tell(story)

    assert told.outcome == "broken"
    assert "KeyError: 'missing'" in told.error
    assert "in story" in told.error


async def test_unknown_clause_breaks_the_bed(on_paper):
    async def story(bed):
        async with bed.step("one", ["no.such"]):
            pass

    told = await tell(story)

    assert told.outcome == "broken"
    assert "no.such" in told.error


async def test_process_that_dies_within_a_step_breaks_it(on_paper):
    async def story(bed):
        machine = await bed.machine("m")
        async with bed.step("one"):
            machine.host.dead = True

    told = await tell(story)

    assert (told.outcome, told.steps[0].outcome) == ("broken", "broken")
    assert told.error == "m ended with exit code 3"


async def test_control_plane_that_does_not_come_up_breaks_the_bed(on_paper):
    on_paper.ready = False

    async def story(bed):
        raise AssertionError("must not run")

    told = await tell(story)

    assert told.outcome == "broken"
    assert told.error == "fakecloud was not ready within 30 s"


async def test_failed_story_leaves_no_process_and_keeps_the_logs(on_paper):
    async def story(bed):
        await bed.machine("a")
        await bed.machine("b")
        raise CheckError("it", "this", "that")

    told = await tell(story)

    assert on_paper.notes[-3:] == ["a remove", "b remove", "cloud stop"]
    assert {"cloud.log", "a.log", "b.log"} <= {attachment.name for attachment in told.attachments}


async def test_passed_story_shows_files_but_no_logs(on_paper):
    async def story(bed):
        machine = await bed.machine("a")
        machine.path("agent_config").parent.mkdir(parents=True)
        machine.path("agent_config").write_text("{}")

    told = await tell(story)

    assert {attachment.name for attachment in told.attachments} == {"files", "agentconfig.json"}


async def test_cancelled_story_is_cleaned_up_and_goes_on_up(on_paper):
    reached = asyncio.Event()

    async def story(bed):
        await bed.machine("a")
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(tell(story))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert on_paper.notes[-2:] == ["a remove", "cloud stop"]


async def test_step_that_a_person_stops_is_not_called_broken(on_paper):
    reached, seen = asyncio.Event(), []

    async def story(bed):
        async with bed.step("one", [CLAUSE]):
            reached.set()
            await asyncio.Event().wait()

    class Watcher(Progress):
        def step_ended(self, story, step):
            super().step_ended(story, step)
            seen.append((step.outcome, step.error))

    out = Console(file=io.StringIO(), width=100)
    task = asyncio.create_task(runner.run_one(scenario(story), seed="7", observers=[Watcher(out)]))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == [("running", "interrupted")]
    assert out.file.getvalue().splitlines()[-1].startswith("  STOPPED one")


async def test_verbose_run_shows_what_was_done_below_its_step_without_guids(on_paper):
    guid = "11111111-1111-4111-8111-111111111111"

    async def story(bed):
        async with bed.step("one"):
            bed.recorder.event("http", f"GET /subscriptions/{guid}/resourceGroups/" + "g" * 90, mark="200")

    out = Console(file=io.StringIO(), width=80)
    await runner.run_one(scenario(story), seed="7", observers=[Progress(out, verbose=True)])
    lines = out.file.getvalue().splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("      200 GET"))
    assert "ok one" in lines[first + 3]
    assert all(line.startswith(" " * 10) for line in lines[first + 1 : first + 3])
    told = "".join(line[10:].rstrip() for line in lines[first : first + 3])
    assert told == "GET/subscriptions/…/resourceGroups/" + "g" * 90


@pytest.mark.parametrize(
    ("stories", "code"),
    [
        ([], 0),
        (["passes"], 0),
        (["passes", "fails", "passes"], 1),
        (["fails", "breaks"], 2),
    ],
)
async def test_exit_code_is_that_of_the_worst_story(on_paper, stories, code):
    async def passes(bed):
        pass

    async def fails(bed):
        equal("it", 1, 2)

    async def breaks(bed):
        raise OSError("disk")

    known = {"passes": passes, "fails": fails, "breaks": breaks}
    result = await runner.run([scenario(known[name], name) for name in stories], seed="1")

    assert result.exit_code == code
    assert [story.name for story in result.stories] == stories


async def test_step_within_a_step_is_refused(on_paper):
    async def story(bed):
        async with bed.step("outer"), bed.step("inner"):
            pass

    assert "begins inside step 'outer'" in (await tell(story)).error


async def test_machine_is_told_the_endpoints_of_its_bed(bed, backend):
    await bed.machine("m", heartbeat_seconds=2, config={"endpoints.gas": "https://localhost:1"})

    config = backend.configs["m"]
    assert config["endpoints.arm"] == "https://localhost:9"
    assert config["endpoints.his"] == "https://localhost:9/his"
    assert config["endpoints.gas"] == "https://localhost:1"
    assert config["himds.port"] == 0
    assert config["himds.heartbeatSeconds"] == 2


async def test_secrets_of_a_command_are_kept_off_the_record(bed, recorder):
    machine = await bed.machine("m")
    with recorder.step("connect"):
        await machine.connect()

    record = repr(recorder.story)
    assert "--service-principal-secret '***'" in record.replace("\\", "")
    assert "b-secret" not in record


async def test_step_that_the_place_cannot_do_is_not_covered_and_the_story_goes_on(on_paper):
    async def story(bed):
        machine = await bed.machine("a")
        async with bed.step("cut", [CLAUSE]), machine.cut_off():
            raise AssertionError("must not run")
        async with bed.step("after"):
            equal("one", 1, 1)

    told = await tell(story)

    assert [(step.outcome, step.error) for step in told.steps] == [
        ("not covered", "paper has no network"),
        ("passed", ""),
    ]
    assert told.outcome == "passed"
    assert told.clauses() == {}


async def test_story_that_needs_what_the_place_lacks_is_not_run(on_paper):
    async def story(bed):
        raise AssertionError("must not run")

    place = Place("paper", lambda _folder: on_paper, {"network": "paper has no network"})
    told = await runner.run_one(
        Scenario(name="n", title="", about="", options=CloudOptions(), story=story, needs=("network",)),
        seed="7",
        place=place,
    )

    assert (told.outcome, told.error) == ("not covered", "paper has no network")
    assert on_paper.notes == []
    assert runner.Run("7", "", [told]).exit_code == 0
