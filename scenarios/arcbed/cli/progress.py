"""A run as people watch it: one line per step, a spinner on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.status import Status
from rich.table import Table
from rich.text import Text

from arcbed.cli.console import short
from arcbed.harness.clauses import catalogue
from arcbed.harness.recorder import Event, Step, StoryRun

STYLES = {"passed": "green", "not covered": "yellow", "failed": "red", "broken": "red", "running": "yellow"}
WORDS = {"passed": "ok", "not covered": "-", "failed": "FAILED", "broken": "BROKEN", "running": "STOPPED"}


class Progress:
    """An observer that writes to `console`; `verbose` also shows what each step did."""

    def __init__(self, console: Console, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._status: Status | None = None

    def story_began(self, story: StoryRun) -> None:
        """A headline."""
        self._console.print(f"\n[bold]{escape(story.title)}[/]  [dim]{escape(story.name)}[/]")
        self._spin("starting the bed")

    def step_began(self, _story: StoryRun, step: Step) -> None:
        """The spinner says what is being done."""
        self._spin(step.title)

    def event(self, _story: StoryRun, _step: Step, event: Event) -> None:
        """Details, for who wants them."""
        if not self._verbose:
            return
        line = Table.grid(padding=(0, 1))
        line.add_column(width=9, justify="right")
        line.add_column(overflow="fold")
        line.add_row(Text(event.mark, "dim"), Text(short(event.title), "dim"))
        self._console.print(line)

    def step_ended(self, _story: StoryRun, step: Step) -> None:
        """One line, and for a failure what was promised and what was seen."""
        self._still()
        word = Text(f"  {WORDS[step.outcome]:>7} ", STYLES[step.outcome])
        self._console.print(word + Text(step.title) + Text(f"  {step.seconds:.1f} s", "dim"), soft_wrap=True)
        if step.outcome == "not covered":
            self._console.print(Padding(Text(f"not covered: {step.error}", "yellow"), (0, 0, 0, 10)))
        elif step.outcome in {"failed", "broken"}:
            self._explain(step)
        self._spin("")

    def story_ended(self, story: StoryRun) -> None:
        """What went wrong outside the steps; the steps have said the rest."""
        self._still()
        if story.outcome == "not covered":
            self._console.print(Padding(Text(f"not covered: {story.error}", "yellow"), (0, 0, 0, 10)))
        elif story.error and all(step.outcome in {"passed", "not covered"} for step in story.steps):
            self._console.print(Padding(Text(story.error, "red"), (0, 0, 0, 10)))

    def _explain(self, step: Step) -> None:
        for clause in step.clauses:
            known = catalogue()[clause]
            text = Text(f"{known.text}\n", "default").append(f"{clause}, {known.kind}: {known.source}", "dim")
            self._console.print(Padding(text, (0, 0, 0, 10)))
        self._console.print(Padding(Text(step.error, "red"), (0, 0, 0, 10)))

    def _spin(self, text: str) -> None:
        if not self._console.is_terminal:
            return
        if self._status is None:
            self._status = self._console.status("", spinner="dots")
            self._status.start()
        self._status.update(Text(text, "dim"))

    def _still(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
