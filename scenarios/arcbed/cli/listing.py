"""``arcbed list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from arcbed.cli.console import console

if TYPE_CHECKING:
    from arcbed.harness.scenario import Scenario


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
    table.add_column()
    table.add_column(no_wrap=True)
    for one in found.values():
        table.add_row(f"[bold]{one.name}[/]", one.title, f"[dim]{_note(one)}[/]")
    console().print(table)


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
        "--backend docker": any(need in PROCESS.lacks for need in one.needs),
        "takes minutes": one.long,
        "idle computer": one.alone,
    }
    return ", ".join(note for note, applies in notes.items() if applies)
