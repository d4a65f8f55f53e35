"""azcmagent show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arcbed_agent import AGENT_VERSION
from arcbed_agent.cli import flags
from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.session import Session
from arcbed_agent.cli.show_rows import Service, Sheet
from arcbed_agent.errors import AgentError

if TYPE_CHECKING:
    from arcbed_agent.himds.client import Status

_UPGRADE_TASK = "etc/cron.d/azcmagent_autoupgrade"


def run(session: Session, arguments: Arguments) -> dict[str, Any] | None:
    """Show this machine; himds need not be running, but only it knows about the last heartbeat.

    Raises:
        AgentError: 23, an unknown property was asked for; 61, himds runs and this user may not ask it.
    """
    sheet = describe(session, with_system=arguments.on("os"))
    if session.terminal.as_json:
        return sheet.document(arguments.words)
    for line in sheet.lines(arguments.words):
        session.terminal.result(line)
    return None


def describe(session: Session, *, with_system: bool) -> Sheet:
    """All that can be known about this machine; raises as `run`."""
    return _sheet(session, _ask_himds(session), with_system=with_system)


@dataclass(frozen=True)
class Known:
    """What himds said, or what can be known without it."""

    status: Status
    himds_running: bool


def _ask_himds(session: Session) -> Known:
    try:
        return Known(session.himds_status(), himds_running=True)
    except AgentError as error:
        if error.number != 61 or isinstance(error.__cause__, PermissionError):
            raise
        session.terminal.warning(f"The agent service is not running. {session.start_advice}")
        return Known(_from_files(session), himds_running=False)


def _from_files(session: Session) -> Status:
    """What the agent's files say; without himds nothing is connected, whatever they say."""
    from arcbed_agent.cloud.proxies import proxy_in_effect
    from arcbed_agent.config import AgentConfig
    from arcbed_agent.himds.client import Status

    config = AgentConfig.load(session.layout)
    return Status(
        status="Disconnected",
        resource_name=config.resource_name,
        resource_group=config.resource_group,
        subscription_id=config.subscription_id,
        tenant_id=config.tenant_id,
        resource_id=config.resource_id,
        location=config.location,
        cloud=config.cloud,
        vm_id=config.vm_id,
        correlation_id=config.correlation_id,
        identity_key_store=config.identity_key_store,
        https_proxy=proxy_in_effect(session.local_config),
        proxy_bypass=list(session.local_config.items("proxy.bypass")),
    )


def _sheet(session: Session, known: Known, *, with_system: bool) -> Sheet:
    status = known.status
    metadata = session.host.metadata()
    connected = bool(status.resource_id)
    return Sheet(
        values={
            **_agent(session, status),
            **_machine(metadata),
            **(_registration(status) if connected else {"vmUuid": ""}),
            "cloudProvider": status.cloud_provider or session.host.cloud().provider,
        },
        cloud_metadata=session.host.cloud().details,
        services=_services(session, himds_running=known.himds_running),
        with_system=with_system,
    )


def _registration(status: Status) -> dict[str, str]:
    """Empty while the machine is not connected: after ``disconnect`` these lines hold nothing."""
    return {
        "resourceName": status.resource_name,
        "resourceGroup": status.resource_group,
        "resourceNamespace": "Microsoft.HybridCompute",
        "resourceId": status.resource_id,
        "subscriptionId": status.subscription_id,
        "tenantId": status.tenant_id,
        "vmId": status.vm_id,
        "correlationId": status.correlation_id,
        "location": status.location,
        "cloud": status.cloud,
        "identityKeyStore": status.identity_key_store,
        "lastHeartbeat": status.last_heartbeat,
        "portalUrl": portal_url(status.tenant_id, status.resource_id),
    }


def _agent(session: Session, status: Status) -> dict[str, str]:
    from arcbed_agent.governor.announcement import in_force

    return {
        "agentVersion": status.agent_version or AGENT_VERSION,
        "agentLogfile": str(session.layout["himds_log"]),
        "status": status.status,
        "agentErrorCode": status.error_code,
        "agentErrorDetails": status.error_details,
        "agentErrorTimestamp": status.error_timestamp,
        "httpsProxy": status.https_proxy,
        "proxyBypass": ",".join(status.proxy_bypass),
        "agentAutoUpgradeTaskStatus": _upgrade_task(session),
        "cpuLimitBackend": in_force(session.layout),
    }


def _upgrade_task(session: Session) -> str:
    present = (session.layout.root / _UPGRADE_TASK).exists()
    return f"enabled, id: /{_UPGRADE_TASK}" if present else "disabled"


def _machine(metadata: dict[str, Any]) -> dict[str, str]:
    detected = metadata["detectedProperties"]
    named = ("vmUuid", "osName", "osType", "osVersion", "osSku", "osEdition")
    names = ("machineFqdn", "dnsFqdn", "adFqdn", "domainName")
    return {
        **{name: str(metadata.get(name, "")) for name in (*named, *names)},
        "computerName": metadata["osProfile"]["computerName"],
        "manufacturer": detected["manufacturer"],
        "model": detected["model"],
        "mssqlDiscovered": detected["mssqldiscovered"],
        "mysqlDiscovered": detected["mysqldiscovered"],
        "pgsqlDiscovered": detected["pgsqldiscovered"],
    }


def _services(session: Session, *, himds_running: bool) -> list[Service]:
    from arcbed_agent.himds.services import unit_status

    layout = session.layout
    others = (("Azure Arc Proxy", "arcproxyd"), ("Extension Service", "extd"), ("GC Service", "gcad"))
    return [
        Service("Agent Service", "himdsd", "active" if himds_running else "inactive"),
        *(
            Service(shown, unit, unit_status(layout.root, f"{unit}.service", layout["sockets"])["status"])
            for shown, unit in others
        ),
    ]


def portal_url(tenant_id: str, resource_id: str) -> str:
    """The machine's page in the Azure portal."""
    return f"https://portal.azure.com/#@{tenant_id}/resource{resource_id}/overview"


COMMAND = Command(
    "Show the machine's metadata and the agent's status",
    run,
    flags=flags.SHOW,
    words="[property...]",
    examples=(
        "azcmagent show",
        'azcmagent show "Agent Status" "Agent Last Heartbeat"',
        "azcmagent show status lastHeartbeat --json",
    ),
)
