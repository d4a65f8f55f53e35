"""``fakecloud package``: the agent packages that machines of the bed can install."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcbed_cloud.cli.options import State, fail, reason, state_folder

app = typer.Typer(
    help="Agent packages that machines of the bed can install.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def publish(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="A .deb or .rpm of the agent.")],
    state: State = None,
    as_latest: Annotated[
        bool, typer.Option("--as-latest", help="Make it the version that automatic upgrades go to.")
    ] = False,
) -> None:
    """Put packages on the package hosts of the bed, whether its control plane runs or not.

    The first version to be published is the latest one until another is published with --as-latest.
    """
    from datetime import UTC, datetime

    from arcbed_cloud.clock import Keeper
    from arcbed_cloud.services.packages import PackageError, Shelf

    shelf = Shelf(state_folder(state).resolve())
    now = datetime.fromtimestamp(int(Keeper().wall()), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for file in files:
        try:
            package = shelf.publish(file, released=now, as_latest=as_latest)
        except (PackageError, OSError) as error:
            fail(reason(error))
        print(f"published azcmagent {package.version} ({package.kind}, {package.architecture})")


@app.command("list")
def listed(state: State = None) -> None:
    """List what is published."""
    from arcbed_cloud.services.packages import PackageError, Shelf

    try:
        index = Shelf(state_folder(state).resolve()).index()
    except PackageError as error:
        fail(str(error))
    for package in index.packages:
        mark = "  latest" if package.version == index.latest else ""
        print(f"{package.version}  {package.file}{mark}")
