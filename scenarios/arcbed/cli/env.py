"""``arcbed env``: what ``fakecloud env`` says of the bed's control plane."""

from __future__ import annotations

from typing import Final

import typer

from arcbed.cli.console import STATE, StateOption, become, fail, running

#: With these `fakecloud env` says something without a control plane, too.
ALWAYS: Final = frozenset({"--unset", "--help", "-h"})


def env(context: typer.Context, state: StateOption = STATE) -> None:
    """Print settings for SDKs and scripts, for `eval "$(arcbed env)"`; options go on to `fakecloud env`."""
    from arcbed.harness.errors import BedError
    from arcbed.harness.programs import program

    try:
        fakecloud = program("fakecloud")
    except BedError as error:
        fail(str(error))
    if ALWAYS.isdisjoint(context.args):
        running(state)
    become(fakecloud, ["env", "--state", str(state), *context.args])
