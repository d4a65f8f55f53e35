"""``arcbed run``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcbed.cli.console import complete, console, fail, report_folder

if TYPE_CHECKING:
    from rich.console import Console

    from arcbed.harness.reports import Reports
    from arcbed.harness.runner import Run


def run(
    names: Annotated[list[str] | None, typer.Argument(metavar="SCENARIO", help="See `arcbed list`.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Run every scenario, also those that take minutes.")
    ] = False,
    backend: Annotated[
        str,
        typer.Option(
            help="What beds are made of: process (on this computer), docker (containers), or docker-systemd "
            "(containers whose PID 1 is systemd)."
        ),
    ] = "process",
    seed: Annotated[str, typer.Option(help="Seed of all ids; printed, so that a run can be repeated.")] = "",
    report: Annotated[Path, typer.Option(help="Folder of the reports.", file_okay=False)] = Path("reports"),
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave state, files and logs of the beds behind.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what each step does.")] = False,
) -> None:
    """Run scenarios and report on them.

    Leaves with 0 when all passed, 1 when a documented behaviour was not met, 2 when the bed itself broke.
    What a back end cannot do is reported as not covered, and is no failure.
    """
    import secrets

    from arcbed.cli.progress import Progress
    from arcbed.harness import places, runner, scenario
    from arcbed.harness.errors import BedError

    if bool(names) == every:
        fail("name one scenario or more, or say --all; `arcbed list` shows them")
    try:
        place = places.named(backend)
        chosen = list(scenario.discover().values()) if every else scenario.named(*(names or []))
    except BedError as error:
        fail(str(error))
    report_folder(report)
    out = console()
    seed = seed or secrets.token_hex(4)
    folder = Path(tempfile.mkdtemp(prefix="arcbed-")) if keep else None
    observers = [Progress(out, verbose=verbose)]
    result = complete(runner.run(chosen, seed=seed, observers=observers, folder=folder, place=place))
    summary(out, result, written(result, report))
    if folder:
        out.print(f"  kept     {folder}")
        if place is not places.PROCESS:
            out.print("           and the containers; `arcbed down` removes them")
    raise typer.Exit(result.exit_code)


def written(result: Run, folder: Path) -> Reports:
    """The reports of `result` in `folder`; where they cannot be written, say why, and leave."""
    from arcbed.harness.reports import write

    try:
        return write(result, folder)
    except OSError as error:
        fail(f"the reports could not be written to {folder}: {error.strerror}")


def summary(out: Console, result: Run, reports: Reports) -> None:
    """How it ended, and where to read more."""
    from arcbed.harness.places import PROCESS

    outcomes = [story.outcome for story in result.stories]
    skipped = outcomes.count("not covered")
    proven = [outcome for outcome in result.clauses().values() if outcome == "passed"]
    colour = "green" if result.exit_code == 0 else "red"
    out.print(
        f"\n[bold {colour}]{outcomes.count('passed')} of {len(outcomes)} passed[/], "
        + (f"{skipped} not covered here, " if skipped else "")
        + f"{len(proven)} of {len(result.clauses())} clauses proven, seed {result.seed}"
    )
    if skipped and result.place == PROCESS.name:
        out.print("  not covered here: containers can do more, with --backend docker", soft_wrap=True)
    out.print(f"  report   {reports.page}", soft_wrap=True)
    out.print(f"  junit    {reports.junit}", soft_wrap=True)
    if reports.logs:
        out.print(f"  logs     {reports.logs}", soft_wrap=True)
