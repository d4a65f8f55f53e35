"""``arcbed demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcbed.cli.console import complete, console, me, report_folder

if TYPE_CHECKING:
    from rich.console import Console

    from arcbed.harness.runner import Run

PICTURE_WIDTH = 104


def demo(
    report: Annotated[Path, typer.Option(help="Folder of the report.", file_okay=False)] = Path(
        "reports/demo"
    ),
    export_svg: Annotated[
        Path | None,
        typer.Option("--export-svg", help="Also write the terminal's picture here.", dir_okay=False),
    ] = None,
    seed: Annotated[str, typer.Option(help="Seed of all ids.")] = "",
) -> None:
    """Start a control plane, onboard a machine, use its identity, remove it; every step is shown."""
    import secrets

    from arcbed.cli.demo.stage import Stage
    from arcbed.cli.demo.story import DEMO
    from arcbed.cli.run import summary, written
    from arcbed.harness import runner

    report_folder(report)
    out = console(record=export_svg is not None)
    if export_svg:
        out.width = PICTURE_WIDTH
    result = complete(
        runner.run([DEMO], seed=seed or secrets.token_hex(4), observers=[Stage(out, still=bool(export_svg))])
    )
    _table(out, result)
    summary(out, result, written(result, report))
    if result.exit_code == 0:
        arcbed = me()
        out.print(
            f"\n  Next: [bold]{arcbed} start[/] keeps a control plane, [bold]{arcbed} list[/] has scenarios."
        )
    if export_svg:
        export_svg.parent.mkdir(parents=True, exist_ok=True)
        out.save_svg(str(export_svg), title="make demo", code_format=_picture())
    raise typer.Exit(result.exit_code)


def _picture() -> str:
    """Rich's picture of a terminal without the fonts that it would fetch from elsewhere."""
    import re

    from rich._export_format import CONSOLE_SVG_FORMAT

    return re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def _table(out: Console, result: Run) -> None:
    """The steps once more, in short."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="dim")
    table.add_column()
    table.add_column(justify="right", style="dim")
    for story in result.stories:
        for number, step in enumerate(story.steps, 1):
            colour = "green" if step.outcome == "passed" else "red"
            table.add_row(str(number), f"[{colour}]{step.title}[/]", f"{step.seconds:.1f} s")
        table.add_row("", "[dim]all, with starting and stopping[/]", f"{story.seconds:.1f} s")
    out.print()
    out.print(table)
