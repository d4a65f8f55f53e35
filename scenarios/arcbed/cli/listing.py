"""``arcbed list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from arcbed.cli.console import console

if TYPE_CHECKING:
    from arcbed.harness.scenario import Scenario

#: Columns of a line that no terminal breaks.
WIDE = 160


def list_scenarios(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the scenarios, and which of them take minutes or need containers."""
    from arcbed.harness.scenario import discover

    found = discover()
    if as_json:
        import json

        typer.echo(json.dumps([_document(one) for one in found.values()], indent=2))
        return
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 3, 0, 0))
    table.add_column(no_wrap=True)
    for one in found.values():
        table.add_row(f"[bold]{one.name}[/]", f"{one.title}[dim]{_note(one)}[/]")
    out = console()
    if not out.is_terminal:
        out.width = max(out.width, WIDE)
    out.print(table)


def _document(one: Scenario) -> dict[str, object]:
    return {
        "name": one.name,
        "title": one.title,
        "about": one.about,
        "needs": list(one.needs),
        "long": one.long,
        "alone": one.alone,
    }


def _note(one: Scenario) -> str:
    """What a person should know before they run it."""
    from arcbed.harness.places import PROCESS

    notes = {
        "needs --backend docker": any(need in PROCESS.lacks for need in one.needs),
        "takes minutes": one.long,
        "measures an idle computer": one.alone,
    }
    said = ", ".join(note for note, applies in notes.items() if applies)
    return f" ({said})" if said else ""
