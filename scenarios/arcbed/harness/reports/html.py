"""One self-contained HTML page: what was run, on a time line, and which clauses it proves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from arcbed import __version__
from arcbed.harness.clauses import Clause, catalogue
from arcbed.harness.recorder import StoryRun
from arcbed.harness.reports.chart import svg
from arcbed.harness.runner import Run

WORDS = {
    "passed": "passed",
    "not covered": "not covered here",
    "failed": "failed",
    "broken": "bed broke",
    "running": "not finished",
}
TICKS = 6


@dataclass(frozen=True)
class ClauseRow:
    """A line of the clause table."""

    clause: Clause
    outcome: str
    stories: tuple[str, ...]

    @property
    def area(self) -> str:
        """The first part of the clause's id."""
        return self.clause.id.partition(".")[0]


def render(run: Run) -> str:
    """`run` as a page without any reference to the outside."""
    rows = clause_rows(run)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            rows=rows,
            words=WORDS,
            version=__version__,
            seconds=sum(story.seconds for story in run.stories),
            ticks=ticks,
            skipped=sum(story.outcome == "not covered" for story in run.stories),
            passed=sum(story.outcome == "passed" for story in run.stories),
            steps=sum(len(story.steps) for story in run.stories),
            calls=sum(len(step.events) for story in run.stories for step in story.steps),
            counts={
                word: sum(row.outcome == word for row in rows) for word in ("passed", "failed", "not covered")
            },
        )
    )


def clause_rows(run: Run) -> list[ClauseRow]:
    """Every clause of the catalogue, with what this run says about it."""
    outcomes = run.clauses()
    rows = []
    for clause in catalogue().values():
        citing = tuple(story.name for story in run.stories if clause.id in story.clauses())
        outcome = outcomes.get(clause.id)
        word = "not covered" if outcome is None else "passed" if outcome == "passed" else "failed"
        rows.append(ClauseRow(clause, word, citing))
    return rows


def ticks(story: StoryRun) -> list[float]:
    """Seconds at which the time line of `story` is labelled: round ones, at most seven."""
    for width in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0):
        if story.seconds <= width * TICKS:
            break
    return [width * number for number in range(int(story.seconds / width) + 1)]


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = duration
    environment.filters["code"] = code
    environment.filters["svg"] = svg
    return environment


def duration(seconds: float) -> str:
    """Seconds as people read them."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} min {seconds % 60:.0f} s"


def code(text: str) -> Markup:
    """Text in which `backticks`, one or two, mark code."""
    pieces = text.replace("``", "`").split("`")
    marked = [
        Markup("<code>{}</code>").format(piece) if odd % 2 else escape(piece)
        for odd, piece in enumerate(pieces)
    ]
    return Markup("").join(marked)
