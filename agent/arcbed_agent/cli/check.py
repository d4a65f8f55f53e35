"""azcmagent check."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from arcbed_agent.cli import flags
from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.failure import ToldError
from arcbed_agent.cli.network import Network, normal_location, table, unavailable
from arcbed_agent.cli.session import Session
from arcbed_agent.errors import AgentError

if TYPE_CHECKING:
    from arcbed_agent.cloud.connectivity import Probe

DEFAULT_CLOUD = "AzureCloud"


def run(session: Session, arguments: Arguments) -> dict[str, Any] | None:
    """Test all endpoints and print the table, whatever was found.

    Raises:
        AgentError: 16, 20 or 23 for what was asked; 26 when a required endpoint is not reachable.
    """
    cloud, location = _where(session, arguments)
    session.terminal.info(
        "Testing connectivity to endpoints that are needed to connect to Azure... "
        "This might take a few minutes."
    )
    network = Network(session)
    probes = asyncio.run(network.probe(cloud, location, include_all=arguments.on("include-all")))
    network.warn_of_skew(probes)
    if session.terminal.as_json:
        session.terminal.document({probe.target.url: probe.document() for probe in probes})
    else:
        session.terminal.result(table(probes))
    _judge(session, probes, private_wanted=arguments.on("enable-pls-check"))
    return None


def _where(session: Session, arguments: Arguments) -> tuple[str, str]:
    """Cloud and region: as asked, else those that this machine is connected with."""
    from arcbed_agent.config import AgentConfig

    cloud, location = arguments.text("cloud"), normal_location(arguments.text("location"))
    if cloud and not location:
        raise AgentError(16, "--cloud needs --location")
    if location:
        return cloud or DEFAULT_CLOUD, location
    connected = AgentConfig.load(session.layout)
    if not connected.location:
        raise AgentError(
            16,
            "the machine is not connected, so a region is needed",
            "Name it with --location, for example: azcmagent check --location westeurope",
        )
    return connected.cloud or DEFAULT_CLOUD, connected.location


def _judge(session: Session, probes: list[Probe], *, private_wanted: bool) -> None:
    if error := unavailable(probes):
        raise ToldError(error.number, error.message, error.advice) if session.terminal.as_json else error
    public = [probe.target.url for probe in probes if probe.target.private_link and not probe.private]
    if private_wanted and public:
        session.terminal.warning(
            f"Private link is expected, but these resolve to public addresses: {', '.join(public)}"
        )


COMMAND = Command(
    "Run connectivity checks",
    run,
    flags=flags.CHECK,
    description="Check whether the endpoints that the agent needs can be reached from this machine.",
    examples=("azcmagent check --location westeurope", "azcmagent check --json"),
)
