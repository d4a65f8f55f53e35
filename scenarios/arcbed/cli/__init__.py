"""The command line of arcbed, one module per command."""

from __future__ import annotations

from typing import Annotated

import typer

from arcbed import __version__
from arcbed.cli import az, clock, demo, down, env, listing, onboarding_script, run, start, status, stop

app = typer.Typer(
    name="arcbed",
    help="A testbed for Azure Arc-enabled servers: a control plane, a working agent, and scripted scenarios.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("list")(listing.list_scenarios)
app.command("run")(run.run)
app.command("start")(start.start)
app.command("status")(status.status)
app.command("stop")(stop.stop)
app.add_typer(clock.app, name="clock")
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
app.command("down")(down.down)
app.command("onboarding-script")(onboarding_script.onboarding_script)
app.command("env", context_settings=PASSED_ON)(env.env)
app.command("az", context_settings=PASSED_ON | {"allow_interspersed_args": False})(az.az)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"arcbed {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of ``arcbed``."""
    app()
