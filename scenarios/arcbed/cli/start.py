"""``arcbed start``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcbed.cli.console import STATE, StateOption, complete, console, fail, me


def start(
    state: StateOption = STATE,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = 8443,
) -> None:
    """Start a control plane in the background and say how to use it."""
    from arcbed.harness import detached
    from arcbed.harness.errors import BedError

    out = console()
    try:
        if running := detached.find(state):
            out.print(f"The control plane is running already (process {running.pid}).")
        else:
            running = complete(detached.start(state, port))
            out.print(f"The control plane is running (process {running.pid}).")
    except BedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or state}: {error.strerror}; choose another --state")
    out.print(next_steps(state, running.url), soft_wrap=True)


def next_steps(state: Path, url: str) -> str:
    """What a person would want to do now."""
    place = "" if state == STATE else f" --state {state}"
    arcbed = me()
    steps = {
        f'eval "$({arcbed} env{place})"': "point SDKs and scripts of this shell at it",
        f"{arcbed} az{place} group list": "use the Azure CLI, with a configuration folder of its own",
        f"{arcbed} status{place}": "see what it holds",
        f"{arcbed} stop{place}": f"stop it; the state stays in {state}",
    }
    width = max(map(len, steps)) + 3
    lines = [f"  {command:<{width}}[dim]{why}[/]" for command, why in steps.items()]
    return "\n".join(["", f"  [bold]{url}[/]", "", *lines])
