"""``arcbed env``: what ``fakecloud env`` says of the bed's control plane."""

from __future__ import annotations

import typer

from arcbed.cli.console import STATE, StateOption, become, fail


def env(context: typer.Context, state: StateOption = STATE) -> None:
    """Print settings for SDKs and scripts, for `eval "$(arcbed env)"`; options go on to `fakecloud env`."""
    from arcbed.harness.errors import BedError
    from arcbed.harness.programs import program

    try:
        fakecloud = program("fakecloud")
    except BedError as error:
        fail(str(error))
    become(fakecloud, ["env", "--state", str(state), *context.args])
