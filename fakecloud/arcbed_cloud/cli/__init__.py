"""``fakecloud``: the control plane's command line. One module a command, importing late."""

from __future__ import annotations

import typer

from arcbed_cloud.cli import blob, dns, env, extension, imds, package, prepare, reset, serve, trust

app = typer.Typer(
    name="fakecloud",
    help="A control plane for Azure Arc-enabled servers that runs on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.command)
app.command("env")(env.command)
app.command("trust")(trust.command)
app.command("reset")(reset.command)
app.add_typer(package.app, name="package")
app.add_typer(extension.app, name="extension")
app.add_typer(blob.app, name="blob")
app.command("dns")(dns.command)
app.command("imds")(imds.command)
app.command("prepare")(prepare.command)


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="fakecloud")
