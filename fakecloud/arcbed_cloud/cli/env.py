"""``fakecloud env``: what clients need to know, as shell exports or JSON."""

from __future__ import annotations

import json
import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcbed_cloud.cli.options import State, fail, state_folder

if TYPE_CHECKING:
    from arcbed_cloud.estate import Estate

MASK = "********"


def command(
    state: State = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    shell: Annotated[bool, typer.Option("--shell", help="Print shell exports (the default).")] = False,
    unset: Annotated[bool, typer.Option("--unset", help="Print how to forget the exports again.")] = False,
    principal: Annotated[
        str, typer.Option(help="Whose credentials the shell exports carry: owner or onboarding.")
    ] = "owner",
) -> None:
    """Print endpoints and credentials: into a pipe as they are, on a terminal with secrets masked.

    Use it as `eval "$(fakecloud env)"`.
    """
    if sum((as_json, shell, unset)) > 1:
        fail("Choose one of --json, --shell and --unset.", code=2)
    if unset:
        print("\n".join(f"unset {name}" for name in VARIABLES))
        return
    if principal not in {"owner", "onboarding"}:
        fail(f"There is no principal '{principal}'; use owner or onboarding.", code=2)
    document = describe(state_folder(state))
    _announce_masks(document)
    if sys.stdout.isatty():
        document = _masked(document)
    print(json.dumps(document, indent=2) if as_json else _exports(document, principal))


def describe(folder: Path) -> dict[str, Any]:
    """What `env --json` prints, secrets included. Ends the program if nothing serves `folder`."""
    from arcbed_cloud.estate import Estate, SecretsError
    from arcbed_cloud.folder import Running

    running = Running.read(folder)
    if running is None:
        quoted = shlex.quote(str(folder))
        fail(f"Nothing serves the state in {folder}. Start it: fakecloud serve --state {quoted}")
    try:
        estate = Estate.read(folder)
    except SecretsError as error:
        fail(str(error))
    if estate is None:
        fail(f"{folder / 'secrets.json'} is missing; stop the control plane and start it again.")
    return _document(running.url, folder, estate)


def _document(url: str, folder: Path, estate: Estate) -> dict[str, Any]:
    from arcbed_cloud import hosts

    host = url.partition("://")[2]
    return {
        "armEndpoint": url,
        "authority": hosts.login_of(host) or url,
        "graphEndpoint": hosts.graph_of(host) or f"{url}/graph",
        "tenantId": estate.tenant_id,
        "subscriptionId": estate.subscription_id,
        "caFile": str((folder / "ca.pem").resolve()),
        "owner": asdict(estate.owner),
        "onboarding": asdict(estate.onboarding),
    }


VARIABLES = (
    "AZURE_AUTHORITY_HOST",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_SUBSCRIPTION_ID",
    "AZURE_CORE_INSTANCE_DISCOVERY",
    "ARM_ENDPOINT",
    "ARM_TENANT_ID",
    "ARM_SUBSCRIPTION_ID",
    "ARM_CLIENT_ID",
    "ARM_CLIENT_SECRET",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
)


def _exports(document: dict[str, Any], principal: str) -> str:
    who = document[principal]
    ca_file = document["caFile"]
    values = (
        document["authority"],
        document["tenantId"],
        who["clientId"],
        who["clientSecret"],
        document["subscriptionId"],
        "false",
        document["armEndpoint"],
        document["tenantId"],
        document["subscriptionId"],
        who["clientId"],
        who["clientSecret"],
        ca_file,
        ca_file,
        ca_file,
        ca_file,
    )
    return "\n".join(
        f"export {name}={shlex.quote(value)}" for name, value in zip(VARIABLES, values, strict=True)
    )


def _masked(document: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {**value, "clientSecret": MASK} if isinstance(value, dict) else value
        for name, value in document.items()
    }


def _announce_masks(document: dict[str, Any]) -> None:
    """GitHub Actions then blots the secrets out of every later log line."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for name in ("owner", "onboarding"):
            print(f"::add-mask::{document[name]['clientSecret']}", file=sys.stderr)
