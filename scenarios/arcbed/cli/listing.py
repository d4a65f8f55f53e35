"""``arcbed list``."""

from __future__ import annotations

from typing import Annotated

import typer

from arcbed.cli.console import console


def list_scenarios(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the scenarios."""
    from arcbed.harness.scenario import discover

    found = discover()
    if as_json:
        import json

        rows = [{"name": one.name, "title": one.title, "about": one.about} for one in found.values()]
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 3, 0, 0))
    for one in found.values():
        table.add_row(f"[bold]{one.name}[/]", one.title)
    console().print(table)
