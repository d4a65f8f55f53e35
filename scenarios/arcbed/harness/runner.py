"""Run scenarios, one bed each, and say what came of them."""

from __future__ import annotations

import dataclasses
import itertools
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arcbed.harness import clock
from arcbed.harness.bed import Bed
from arcbed.harness.errors import BedError, CheckError
from arcbed.harness.places import PROCESS, Place
from arcbed.harness.recorder import Observer, Outcome, Recorder, StoryRun, outcome_of
from arcbed.harness.scenario import Scenario

EXIT_CODES: dict[Outcome, int] = {"passed": 0, "not covered": 0, "failed": 1, "broken": 2, "running": 2}


@dataclass
class Run:
    """Stories that were run together, on beds of one kind."""

    seed: str
    began: str
    stories: list[StoryRun] = field(default_factory=list)
    place: str = PROCESS.name

    @property
    def exit_code(self) -> int:
        """0 all passed, 1 a clause failed, 2 the bed broke."""
        return max((EXIT_CODES[story.outcome] for story in self.stories), default=0)

    def clauses(self) -> dict[str, Outcome]:
        """Each clause that was exercised, with its worst outcome over all stories."""
        found: dict[str, Outcome] = {}
        for story in self.stories:
            for clause, outcome in story.clauses().items():
                worse = EXIT_CODES[outcome] > EXIT_CODES[found.get(clause, "passed")]
                found[clause] = outcome if worse else found.get(clause, outcome)
        return found


async def run(
    scenarios: Sequence[Scenario],
    *,
    seed: str,
    observers: Iterable[Observer] = (),
    folder: Path | None = None,
    place: Place = PROCESS,
) -> Run:
    """Run `scenarios` in order, each on a bed of its own.

    Args:
        scenarios: what to run; a failed one does not keep the next from running.
        seed: of the ids of every bed.
        observers: told what happens while it happens.
        folder: where the beds are left behind; None deletes them.
        place: what the beds are made of.
    """
    result = Run(seed, stamp(), place=place.name)
    watching = tuple(observers)
    for one in scenarios:
        left = None
        if folder is not None:
            left = _unused(folder / one.name.replace("/", "-"))
            left.mkdir(parents=True)
        result.stories.append(await run_one(one, seed=seed, observers=watching, folder=left, place=place))
    return result


def _unused(folder: Path) -> Path:
    """`folder`, with a number where a story is told more than once."""
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in itertools.count(2))
    return next(one for one in itertools.chain([folder], numbered) if not one.exists())


async def run_one(
    scenario: Scenario,
    *,
    seed: str,
    observers: Iterable[Observer] = (),
    folder: Path | None = None,
    place: Place = PROCESS,
) -> StoryRun:
    """Run one scenario; what goes wrong ends up in the result, only cancellation goes on up.

    A scenario that needs what `place` lacks is not run, and not covered.
    """
    story = StoryRun(scenario.name, scenario.title, scenario.about, stamp())
    recorder = Recorder(story, observers)
    recorder.began()
    if lacking := [place.lacks[need] for need in scenario.needs if need in place.lacks]:
        recorder.ended("not covered", lacking[0])
        return story
    options = dataclasses.replace(scenario.options, seed=seed)
    bed = Bed(options, recorder=recorder, folder=folder, place=place)
    outcome: Outcome | None = None
    error = "interrupted"
    try:
        async with bed:
            outcome, error = await _tell(scenario, bed, story)
    except Exception as problem:  # noqa: BLE001 - the bed did not come up or go down; the next story may still run
        if outcome in {None, "passed"}:
            outcome, error = "broken", explain(problem)
    finally:
        recorder.ended(outcome or "broken", error)
    return story


async def _tell(scenario: Scenario, bed: Bed, story: StoryRun) -> tuple[Outcome, str]:
    outcome: Outcome = "broken"
    try:
        await scenario.story(bed)
        bed.check()
        outcome = "passed"
    except Exception as problem:  # noqa: BLE001 - whatever a story raises is its result
        outcome = outcome_of(problem)
        return outcome, explain(problem)
    finally:
        story.attachments = bed.attachments(logs=outcome != "passed")
    return outcome, ""


def explain(problem: Exception) -> str:
    """What a person needs to know of `problem`: its text, and where an unexpected one came from."""
    if isinstance(problem, CheckError | BedError):
        return str(problem)
    return "".join(traceback.format_exception(problem)).strip()


def stamp() -> str:
    """Now, in UTC, as reports show it."""
    return clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
