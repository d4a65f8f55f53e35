"""azcmagent connect."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arcbed_agent.cli import flags
from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.credentials import Credentials, Token, check_token, obtain, read_credentials
from arcbed_agent.cli.network import Network, unavailable, unexpected_private_link
from arcbed_agent.cli.session import Session
from arcbed_agent.cli.show import portal_url
from arcbed_agent.cli.validation import Validator
from arcbed_agent.errors import AgentError

if TYPE_CHECKING:
    from arcbed_agent.himds.client import Status


@dataclass(frozen=True)
class Request:
    """What was asked for, checked; the subscription may still be a name."""

    subscription: str
    resource_group: str
    resource_name: str
    location: str
    tenant: str
    cloud: str
    tags: dict[str, str]
    correlation_id: str
    private_link_scope: str
    automatic_upgrade: bool | None
    ignore_network: bool
    credentials: Credentials


def run(session: Session, arguments: Arguments) -> dict[str, Any] | None:
    """Connect this machine.

    Raises:
        AgentError: with one of the documented numbers.
    """
    request = read_request(session, arguments)
    _check_machine(session)
    session.terminal.info("Connecting machine to Azure... This might take a few minutes.")
    status = asyncio.run(_connect(session, request))
    url = portal_url(status.tenant_id, status.resource_id)
    if session.terminal.as_json:
        return {
            "status": "success",
            "message": "Connected machine to Azure",
            "resourceId": status.resource_id,
            "vmId": status.vm_id,
            "correlationId": status.correlation_id,
            "portalUrl": url,
        }
    session.terminal.info(f"Machine overview page: {url}")
    return None


def read_request(session: Session, arguments: Arguments) -> Request:
    """The flags, checked.

    Raises:
        AgentError: 12, 16, 23, 27 or 102.
    """
    validator = Validator(arguments, session.settings)
    credentials = read_credentials(session, arguments, validator)
    check_token(session, credentials)
    return Request(
        subscription=validator.required("subscription-id"),
        resource_group=validator.resource_group(),
        resource_name=validator.resource_name(_default_name(session, arguments)),
        location=validator.location(),
        tenant=validator.tenant("tenant-id"),
        cloud=validator.cloud(),
        tags=validator.tags(),
        correlation_id=validator.guid("correlation-id") or session.guid(),
        private_link_scope=validator.private_link_scope(),
        automatic_upgrade=arguments.choice("enable-automatic-upgrade"),
        ignore_network=arguments.on("ignore-network-check"),
        credentials=credentials,
    )


def _default_name(session: Session, arguments: Arguments) -> str:
    """The host name; on AWS the instance id (agent 1.17), unless the host name is asked for (1.62)."""
    by_host_name = arguments.on("use-aws-ec2-hostname")
    if arguments.text("resource-name"):
        return ""
    if not by_host_name and (instance := session.host.cloud().details.get("awsInstanceId")):
        return instance
    return session.host.hostname()


def _check_machine(session: Session) -> None:
    """This machine may be connected, and is not yet.

    Raises:
        AgentError: 61 or 64, himds does not answer; 67, it is connected; 3, it may not be.
    """
    status = session.himds_status()
    if status.registration == "connected":
        raise AgentError(
            67,
            f"the machine is already connected to Azure, resource id: {status.resource_id}",
            "To connect it to another resource, run azcmagent disconnect first.",
        )
    if refusal := session.host.refusal():
        raise refusal
    for text in session.host.warnings():
        session.terminal.warning(text)
        session.log.warning(text)


async def _connect(session: Session, request: Request) -> Status:
    from arcbed_agent.cloud.endpoints import discover, resolve
    from arcbed_agent.cloud.transport import CloudError, Transport, UnreachableError

    config = session.local_config
    async with Transport(config, chance=session.chance) as transport:
        endpoints = await resolve(transport, config, request.cloud)
        session.terminal.info(f"Cloud: {request.cloud}")
        if request.ignore_network:
            session.terminal.warning("The network check is skipped.")
            try:
                await discover(transport, endpoints, request.location)
            except (UnreachableError, CloudError) as error:
                session.log.debug("Regional Service Discovery failed: %s", error)
        else:
            await _check_network(session, request)
        token = await obtain(session, request.credentials, transport, endpoints, request.cloud)
        session.terminal.progress(20, "")
        subscription = await _subscription_id(transport, endpoints.arm, request.subscription, token)
    return await asyncio.to_thread(_register, session, request, subscription, token)


async def _check_network(session: Session, request: Request) -> None:
    """Raises AgentError 20 for an unknown region, 26 for what cannot be reached."""
    session.terminal.info("Testing connectivity to endpoints that are needed to connect to Azure...")
    network = Network(session)
    probes = await network.probe(request.cloud, request.location)
    network.warn_of_skew(probes)
    error = unavailable(probes)
    if error is None and not request.private_link_scope:
        error = unexpected_private_link(probes)
    if error:
        raise error


async def _subscription_id(transport: Any, arm: str, wanted: str, token: Token) -> str:
    from arcbed_agent.cli.subscription import subscription_id

    return await subscription_id(transport, arm, wanted, token.value)


def _register(session: Session, request: Request, subscription: str, token: Token) -> Status:
    """Hand over to himds, which can go on after a crash."""
    from arcbed_agent.himds.client import ConnectParameters

    parameters = ConnectParameters(
        subscription_id=subscription,
        resource_group=request.resource_group,
        resource_name=request.resource_name,
        location=request.location,
        tenant_id=request.tenant or token.tenant,
        access_token=token.value,
        correlation_id=request.correlation_id,
        cloud=request.cloud,
        tags=request.tags,
        private_link_scope=request.private_link_scope,
        automatic_upgrade=request.automatic_upgrade,
    )
    return session.himds.connect(
        parameters, lambda progress: session.terminal.progress(progress.percent, progress.text)
    )


COMMAND = Command(
    "Connect this machine to Azure",
    run,
    flags=flags.CONNECT,
    description=(
        "Connect this machine to Azure: create its resource in Azure Resource Manager, obtain its identity,\n"
        "and start sending heartbeats."
    ),
    examples=(
        "azcmagent connect --subscription-id ID --resource-group RG --location westeurope",
        "azcmagent connect --config connect.json --service-principal-secret-file secret.txt",
        "azcmagent connect --config connect.json --tags \"Datacenter=DC1,Owner='Operations team'\"",
    ),
    needs_root=True,
)
