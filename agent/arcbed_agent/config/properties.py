"""The properties of `localconfig.json`.

Names, types and defaults: Microsoft's article "azcmagent config" and release notes. Names marked *ours* are
the testbed's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from arcbed_agent.config import checks
from arcbed_agent.config.property import Property
from arcbed_agent.errors import AgentError

#: In the order in which ``azcmagent config list`` prints them.
PROPERTIES: Final[Mapping[str, Property]] = MappingProxyType(
    {
        item.name: item
        for item in (
            Property("incomingconnections.enabled", True, "Allow connections from Azure, such as SSH"),
            Property("incomingconnections.ports", (), "Ports that Azure may connect to", checks.ports),
            Property(
                "connection.type",
                "default",
                "Direct connection or Arc gateway",
                checks.one_of("default", "direct", "gateway"),
            ),
            Property("proxy.url", "", "HTTP proxy of the agent", checks.proxy),
            Property("proxy.bypass", (), "Services that are reached without the proxy", checks.bypass),
            Property("extensions.allowlist", (), "Extensions that may be installed", checks.extensions),
            Property("extensions.blocklist", (), "Extensions that may not be installed", checks.extensions),
            Property("guestconfiguration.enabled", True, "Run the machine configuration agent"),
            Property("extensions.enabled", True, "Run the extension manager"),
            Property("config.mode", "full", "Full mode or monitoring only", checks.one_of("full", "monitor")),
            Property("guestconfiguration.agent.cpulimit", 5, "CPU limit in percent", checks.PERCENT),
            Property("extensions.agent.cpulimit", 5, "CPU limit in percent", checks.PERCENT),
            Property("endpoints.arm", "", "Azure Resource Manager", checks.endpoint, ours=True),
            Property("endpoints.login", "", "Microsoft Entra ID", checks.endpoint, ours=True),
            Property("endpoints.his", "", "Hybrid identity service, global", checks.endpoint, ours=True),
            Property("endpoints.gas", "", "Guest configuration service, global", checks.endpoint, ours=True),
            Property("endpoints.gns", "", "Guest notification service", checks.endpoint, ours=True),
            Property("endpoints.relaySuffix", "", "Domain of the relay namespaces", ours=True),
            Property("tls.caBundle", "", "PEM file of trusted authorities", ours=True),
            Property("himds.port", 40_342, "Port of the local endpoint, 0 for any", checks.PORT, ours=True),
            Property("himds.heartbeatSeconds", 0, "Heartbeat period", checks.PACE, ours=True),
            Property("himds.jitterPercent", 10, "Spread of the heartbeat period", checks.SPREAD, ours=True),
            Property("gcad.jitterPercent", 10, "Spread of the pull period", checks.SPREAD, ours=True),
            Property("gcad.pullSeconds", 0, "Period of assignment pulls", checks.PACE, ours=True),
            Property("gcad.consistencySeconds", 0, "Period of evaluations", checks.PACE, ours=True),
            Property("gcad.reapplyAfterSeconds", 0, "Gap that counts as cut off", checks.PACE, ours=True),
            Property(
                "gcad.reapply",
                "pending",
                "After a gap: pending or changed-only",
                checks.one_of("pending", "changed-only"),
                ours=True,
            ),
            Property(
                "gcad.repair",
                "next",
                "Drift is repaired at the next run or immediately",
                checks.one_of("next", "immediate"),
                ours=True,
            ),
            Property(
                "gcad.evaluationLimitSeconds", 3_600, "How long a run may take", checks.SECONDS, ours=True
            ),
            Property("gcad.allowHostChanges", False, "Set may change what is outside ARC_ROOT", ours=True),
            Property(
                "extd.catalogKey",
                "",
                "File with the public key (OpenPGP) that catalogs of extensions must be signed with",
                ours=True,
            ),
            Property("extd.pullSeconds", 0, "Period of extension pulls", checks.PACE, ours=True),
            Property(
                "extd.allowHostChanges",
                False,
                "Handlers may run without a mount and pid namespace of their own",
                ours=True,
            ),
            Property("clock.address", "", "The bed's clock: a Unix socket or host:port", ours=True),
            Property("clock.machine", "", "How the bed's clock calls this machine", ours=True),
            Property("clock.tokenFile", "", "File with the token of the bed's clock", ours=True),
            Property("host.imdsAddress", "", "Address of the cloud metadata service", ours=True),
            Property("agent.profile", "current", "Whose error codes: current or seed (2022)", ours=True),
            Property("host.root", "", "Folder whose files go before the machine's own", ours=True),
            Property(
                "host.supportTable", "current", "Table of supported systems: current or 2022", ours=True
            ),
            Property("host.clusterResourceId", "", "ARM id of the cluster of this machine", ours=True),
            Property(
                "governor.mode",
                "enforce",
                "CPU limits: enforce or account",
                checks.one_of("enforce", "account"),
                ours=True,
            ),
            Property(
                "governor.backend",
                "auto",
                "What limits CPU",
                checks.one_of("auto", *checks.GOVERNOR_BACK_ENDS),
                ours=True,
            ),
            Property(
                "governor.percentOf",
                "core",
                "CPU limits are of one core or of the machine",
                checks.one_of("core", "machine"),
                ours=True,
            ),
        )
    }
)


def property_named(name: str) -> Property:
    """The property called `name`, whatever its case.

    Raises:
        AgentError: 23, there is none.
    """
    for known, item in PROPERTIES.items():
        if known.lower() == name.lower():
            return item
    raise AgentError(23, f"unknown config property '{name}'")
