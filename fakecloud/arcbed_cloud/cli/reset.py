"""``fakecloud reset``: back to the state of a first start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcbed_cloud.cli.options import State, fail, state_folder


def command(
    state: State = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete every machine, group and principal that was added. Ids, secrets and certificates stay."""
    from arcbed_cloud.folder import Running

    folder = state_folder(state)
    running = Running.read(folder)
    if running is None and not (folder / "state.db").exists():
        fail(f"There is no state in {folder}.")
    if not yes and not typer.confirm(f"Delete everything in {folder} that was added since the first start?"):
        raise typer.Exit(1)
    if running is not None:
        _ask(folder, running.admin)
    else:
        for name in ("state.db", "state.db-wal", "state.db-shm"):
            (folder / name).unlink(missing_ok=True)
    print("Reset.")


def _ask(folder: Path, admin: str) -> None:
    """Over the admin API of the running process."""
    from arcbed_cloud.cli.admin import AdminError, call

    try:
        call(folder, admin, "POST", "/_fakecloud/reset")
    except AdminError as error:
        fail(str(error))
