"""``arcbed status``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from arcbed.cli.console import STATE, StateOption, complete, console, fail, not_running

NOT_RUNNING = 3


def status(
    state: StateOption = STATE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show whether the control plane runs and what it holds; leaves with 3 when it does not run."""
    from arcbed.harness import detached
    from arcbed.harness.admin import Admin
    from arcbed.harness.errors import BedError

    running = detached.find(state)
    if running is None:
        if as_json:
            typer.echo('{"running": false}')
        else:
            text = not_running(state)
            console().print(f"{text[0].upper()}{text[1:]}.", soft_wrap=True)
        raise typer.Exit(NOT_RUNNING)
    try:
        held = dict(complete(Admin(state).state()))
    except BedError as error:
        fail(str(error))
    if as_json:
        import json

        typer.echo(json.dumps({"running": True, "pid": running.pid, "url": running.url, **held}))
        return
    out = console()
    out.print(f"[bold]{running.url}[/]  process {running.pid}")
    resources: Mapping[str, int] = held["resources"]
    facts = {
        "clock": f"{held['clock']['now']}, {held['clock']['mode']}",
        "seed": held["seed"],
        **resources,
    }
    width = max(map(len, facts)) + 3
    for name, fact in facts.items():
        out.print(f"  {name:<{width}}{fact}")
    if not resources:
        out.print("  no resources yet")
