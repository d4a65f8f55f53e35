"""``arcbed az``: the Azure CLI against the bed, with a configuration folder of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from arcbed.cli.console import STATE, StateOption, become, complete, fail, running

CLOUD = "arcbed"
NO_AZ = """the Azure CLI is not installed.
Install it as in Microsoft's article "How to install the Azure CLI", or with: pipx install azure-cli"""


def az(context: typer.Context, state: StateOption = STATE) -> None:
    """Run the Azure CLI against the control plane; your own Azure configuration is not touched."""
    from arcbed.harness.errors import BedError

    program = shutil.which("az")
    if program is None:
        fail(NO_AZ)
    url = running(state).url
    try:
        environment = _signed_in(program, state, url)
    except BedError as error:
        fail(str(error))
    become(program, context.args, environment)


def _signed_in(program: str, state: Path, url: str) -> dict[str, str]:
    """The environment of a CLI that knows the bed and is signed in as its owner; made once per start of it.

    Raises:
        BedError: the CLI cannot be set up.
    """
    from arcbed.harness.process_backend import environment_of

    env = complete(environment_of(state))
    folder = state.absolute() / "azure"
    settings = os.environ | {
        "AZURE_CONFIG_DIR": str(folder),
        "AZURE_CORE_INSTANCE_DISCOVERY": "false",
        "AZURE_CORE_COLLECT_TELEMETRY": "false",
        "REQUESTS_CA_BUNDLE": env["caFile"],
        "SSL_CERT_FILE": env["caFile"],
    }
    mark = folder / "arcbed-endpoint"
    if not (mark.is_file() and mark.read_text() == url):
        Console(stderr=True).print("[dim]arcbed: setting up the Azure CLI for this control plane, once[/]")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        for command in _set_up(env):
            complete(_quietly(program, command, settings))
        mark.write_text(url)
    return settings


def _set_up(env: Mapping[str, Any]) -> list[list[str]]:
    owner = env["owner"]
    return [
        ["cloud", "register", "-n", CLOUD, "--endpoint-resource-manager", env["armEndpoint"]],
        ["cloud", "set", "-n", CLOUD],
        [
            *("login", "--service-principal", "--tenant", env["tenantId"]),
            *("--username", owner["clientId"], "--password", owner["clientSecret"]),
        ],
    ]


async def _quietly(program: str, command: list[str], settings: Mapping[str, str]) -> None:
    from arcbed.harness import process
    from arcbed.harness.errors import BedError

    done = await process.run([program, *command], env=settings)
    if done.exit_code:
        raise BedError(f"az {' '.join(command[:2])} failed\n{done.stderr.strip()}")
