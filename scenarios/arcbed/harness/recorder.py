"""What happened in a scenario: steps, and in each step the commands, calls and notes, on one time line."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from arcbed.harness import clauses, clock
from arcbed.harness.errors import BedError, CheckError, NotCoveredError

Outcome = Literal["passed", "not covered", "failed", "broken", "running"]
EventKind = Literal["command", "http", "note"]


@dataclass
class Event:
    """One thing that was done or seen.

    Args:
        kind: a command on a machine, an HTTP call, or a note of the story.
        at: seconds since the story began.
        seconds: how long it took.
        title: one line.
        body: output, or an error document; may be empty.
        mark: exit code or HTTP status.
    """

    kind: EventKind
    at: float
    seconds: float
    title: str
    body: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Curve:
    """Values over time: ``(seconds, value)``, the value holding since the point before."""

    label: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Chart:
    """A figure of a step: curves, and a limit that may change, None while there is none."""

    title: str
    unit: str
    curves: tuple[Curve, ...]
    limit: tuple[tuple[float, float | None], ...] = ()


@dataclass
class Step:
    """One step of a story."""

    title: str
    clauses: tuple[str, ...]
    at: float
    seconds: float = 0.0
    outcome: Outcome = "running"
    error: str = ""
    events: list[Event] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)


@dataclass
class Attachment:
    """A file shown in the report: a log of the cloud, a file of a machine."""

    owner: str
    name: str
    text: str


@dataclass
class StoryRun:
    """One run of one story."""

    name: str
    title: str
    about: str
    began: str
    seconds: float = 0.0
    outcome: Outcome = "running"
    error: str = ""
    steps: list[Step] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)

    def clauses(self) -> dict[str, Outcome]:
        """Each clause that was exercised, with its worst outcome; what was not covered is not among them."""
        found: dict[str, Outcome] = {}
        for step in self.steps:
            for clause in step.clauses if step.outcome != "not covered" else ():
                if found.get(clause, "passed") == "passed":
                    found[clause] = step.outcome
        return found


class Observer(Protocol):
    """Somebody who watches a run."""

    def story_began(self, story: StoryRun) -> None:
        """A story is about to run."""

    def step_began(self, story: StoryRun, step: Step) -> None:
        """A step is about to run."""

    def event(self, story: StoryRun, step: Step, event: Event) -> None:
        """Something was done or seen in a step."""

    def step_ended(self, story: StoryRun, step: Step) -> None:
        """A step has its outcome."""

    def story_ended(self, story: StoryRun) -> None:
        """A story has its outcome."""


class Recorder:
    """Writes the time line of one story and tells the observers."""

    def __init__(self, story: StoryRun, observers: Iterable[Observer] = ()) -> None:
        self.story = story
        self._observers = tuple(observers)
        self._began = clock.monotonic()
        self._step: Step | None = None

    def elapsed(self) -> float:
        """Seconds since the story began."""
        return clock.monotonic() - self._began

    @contextmanager
    def step(self, title: str, cited: Iterable[str] = ()) -> Iterator[Step]:
        """Record a step; what it raises gives its outcome and goes on up.

        Raises:
            BedError: a step inside a step, or an unknown clause.
        """
        if self._step is not None:
            raise BedError(f"step {title!r} begins inside step {self._step.title!r}")
        step = Step(title, clauses.known(cited), self.elapsed())
        self.story.steps.append(step)
        self._step = step
        for observer in self._observers:
            observer.step_began(self.story, step)
        try:
            yield step
        except BaseException as error:
            step.outcome = outcome_of(error)
            step.error = "interrupted" if step.outcome == "running" else str(error) or type(error).__name__
            raise
        else:
            step.outcome = "passed"
        finally:
            step.seconds = self.elapsed() - step.at
            self._step = None
            for observer in self._observers:
                observer.step_ended(self.story, step)

    def event(
        self, kind: EventKind, title: str, *, seconds: float = 0.0, body: str = "", mark: str = ""
    ) -> None:
        """Record something that has just ended; outside a step it is not kept."""
        if self._step is None:
            return
        event = Event(kind, self.elapsed() - seconds, seconds, title, body, mark)
        self._step.events.append(event)
        for observer in self._observers:
            observer.event(self.story, self._step, event)

    def chart(self, chart: Chart) -> None:
        """Show a chart with the step; outside a step it is not kept."""
        if self._step is not None:
            self._step.charts.append(chart)

    def began(self) -> None:
        """Tell the observers that the story is about to run."""
        for observer in self._observers:
            observer.story_began(self.story)

    def ended(self, outcome: Outcome, error: str = "") -> None:
        """Close the story and tell the observers."""
        self.story.outcome, self.story.error = outcome, error
        self.story.seconds = self.elapsed()
        for observer in self._observers:
            observer.story_ended(self.story)


def outcome_of(error: BaseException) -> Outcome:
    """Whether `error` speaks about the product (failed), the bed (broken), or neither.

    Neither is what the place cannot do (not covered), and a person who has stopped the run (running still).
    """
    if isinstance(error, NotCoveredError):
        return "not covered"
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return "running"
    return "failed" if isinstance(error, CheckError | AssertionError) else "broken"
