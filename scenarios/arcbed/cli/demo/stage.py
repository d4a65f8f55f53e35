"""The demo as a person watches it: what is typed, what comes back, and what it means."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.status import Status
from rich.text import Text

from arcbed.cli.console import short
from arcbed.harness.recorder import Event, Step, StoryRun

INDENT = 4


class Stage:
    """An observer that shows everything.

    Args:
        console: where.
        still: no spinner, for recordings.
    """

    def __init__(self, console: Console, *, still: bool = False) -> None:
        self._console = console
        self._moving = console.is_terminal and not still
        self._status: Status | None = None
        self._last = ("", "")

    def story_began(self, story: StoryRun) -> None:
        """The title, while the bed comes up."""
        self._console.print(f"[bold]{escape(story.title)}[/]\n[dim]{escape(story.about)}[/]")
        self._spin("starting the control plane")

    def step_began(self, story: StoryRun, step: Step) -> None:
        """A numbered rule."""
        self._stop()
        self._console.print()
        self._console.print(
            Rule(f"[bold]{len(story.steps)}  {escape(step.title)}[/]", align="left", style="blue")
        )
        self._spin("working")

    def event(self, _story: StoryRun, _step: Step, event: Event) -> None:
        """What was typed and what came back."""
        self._stop()
        {"command": self._command, "http": self._http, "note": self._note}[event.kind](event)
        self._spin("working")

    def step_ended(self, _story: StoryRun, step: Step) -> None:
        """Only a failure needs words."""
        self._stop()
        if step.outcome != "passed":
            self._show(Text(step.error, "red"))

    def story_ended(self, story: StoryRun) -> None:
        """What went wrong outside the steps."""
        self._stop()
        if story.error and all(step.outcome == "passed" for step in story.steps):
            self._show(Text(story.error, "red"))

    def _command(self, event: Event) -> None:
        typed = event.title
        if len(typed) > self._console.width - INDENT:
            typed = typed.replace(" --", " \\\n    --")
        self._console.print(Padding(Text(f"$ {typed}", "bold cyan"), (0, 0, 0, 2)))
        if event.body:
            self._show(Text(event.body))
        code = Text(f"exit code {event.mark}", "green" if event.mark == "0" else "yellow")
        self._show(code.append(f"  {event.seconds:.1f} s", "dim"))

    def _http(self, event: Event) -> None:
        line = Text("  ").append(event.mark, "green" if event.mark < "4" else "yellow")
        title = short(event.title)
        if (title, event.mark) == self._last:
            return  # the next of many polls
        self._last = (title, event.mark)
        self._console.print(line.append(f" {title}", "dim"), overflow="ellipsis", no_wrap=True)

    def _note(self, event: Event) -> None:
        self._console.print(Padding(Text(event.title, "bold"), (0, 0, 0, 2)))
        if event.body:
            self._show(Text(event.body))

    def _show(self, text: Text) -> None:
        self._console.print(Padding(text, (0, 0, 0, INDENT)))

    def _spin(self, text: str) -> None:
        if self._moving:
            self._status = self._console.status(Text(text, "dim"), spinner="dots")
            self._status.start()

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
