"""``arcbed down``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcbed.cli.console import console, fail

if TYPE_CHECKING:
    from docker import DockerClient

PASSES = 5


def down(
    every: Annotated[
        bool, typer.Option("--all", help="Remove every bed of the engine, whoever made it.")
    ] = False,
    bed: Annotated[str, typer.Option(help="Remove this bed only, by its id.")] = "",
) -> None:
    """Remove the containers, networks and volumes of beds that were made in this folder.

    What carries no label of arcbed is not touched, and images stay.
    """
    from arcbed.harness.errors import BedError

    try:
        from arcbed.harness.containers import engine, reaper
    except ImportError:
        fail("this needs the Docker SDK: pip install 'arcbed[containers]'")
    if every and bed:
        fail("say --all or --bed, not both")
    try:
        client = engine.connected()
        found = reaper.beds(client, None if every or bed else Path.cwd())
        chosen = [one for one in found if not bed or one.bed == bed]
        removed = {one.bed: one.count for one in chosen if _gone(client, one.bed)}
    except BedError as error:
        fail(str(error))
    out = console()
    for name, count in removed.items():
        out.print(f"Removed the bed {name}: {count} containers, networks and volumes.", soft_wrap=True)
    if not chosen:
        where = f"called {bed}" if bed else "on this engine" if every else "that was made in this folder"
        more = "" if every else " `arcbed down --all` removes every one."
        out.print(f"There is no bed {where}.{more}", soft_wrap=True)
    if left := [one.bed for one in chosen if one.bed not in removed]:
        fail(f"not everything could be removed of {', '.join(left)}; try again")


def _gone(client: DockerClient, bed: str) -> bool:
    """Remove `bed`; whether nothing of it is left. Endpoints take a moment to leave a network."""
    from arcbed.harness.containers import engine, reaper

    with engine.refusals():
        return any(not reaper.remove(client, bed) for _ in range(PASSES))
