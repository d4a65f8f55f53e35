"""What ``azcmagent show`` shows: labels, their order, and the names in JSON.

Labels and order: Microsoft's article "azcmagent show", release notes, published output of agents 1.51 to
1.64. JSON names that Microsoft's scripts read: status, lastHeartbeat, resourceName, resourceGroup,
subscriptionId, tenantId, location, agentVersion, httpsProxy, proxyBypass, agentErrorCode,
agentErrorDetails, services. The others are ours, after ARM's
property names, and so is the line CPU Limit Backend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arcbed_agent.errors import AgentError

_WIDTH = 40


@dataclass(frozen=True)
class Row:
    """One line.

    Args:
        label: as it is printed.
        key: its name in JSON; a heading has none of its own.
        heading: a line without a value; the rows that name it as `group` stand below it.
        group: the heading above it.
    """

    label: str
    key: str
    heading: bool = False
    group: str = ""


CLOUD_METADATA = "Cloud Metadata"
SERVICES = "Dependent Service Status"
SYSTEM = "Operating System"

BEFORE_SERVICES: Sequence[Row] = (
    Row("Resource Name", "resourceName"),
    Row("Resource Group Name", "resourceGroup"),
    Row("Resource Namespace", "resourceNamespace"),
    Row("Resource Id", "resourceId"),
    Row("Subscription ID", "subscriptionId"),
    Row("Tenant ID", "tenantId"),
    Row("VM ID", "vmId"),
    Row("Correlation ID", "correlationId"),
    Row("VM UUID", "vmUuid"),
    Row("Location", "location"),
    Row("Cloud", "cloud"),
    Row("Identity Key Store", "identityKeyStore"),
    Row("Agent Version", "agentVersion"),
    Row("Agent Logfile", "agentLogfile"),
    Row("Agent Status", "status"),
    Row("Agent Last Heartbeat", "lastHeartbeat"),
    Row("Agent Error Code", "agentErrorCode"),
    Row("Agent Error Details", "agentErrorDetails"),
    Row("Agent Error Timestamp", "agentErrorTimestamp"),
    Row("Using HTTPS Proxy", "httpsProxy"),
    Row("Proxy Bypass List", "proxyBypass"),
    Row("Upstream Proxy", "upstreamProxy"),
    Row("Gateway URL", "gatewayUrl"),
    Row("Cloud Provider", "cloudProvider"),
    Row(CLOUD_METADATA, "cloudMetadata", heading=True),
    Row("Manufacturer", "manufacturer"),
    Row("Model", "model"),
    Row("MSSQL Server Detected", "mssqlDiscovered"),
    Row("MySQL Server Detected", "mysqlDiscovered"),
    Row("PGSQL Server Detected", "pgsqlDiscovered"),
    Row(SERVICES, "services", heading=True),
)
AFTER_SERVICES: Sequence[Row] = (
    Row("Portal Page", "portalUrl"),
    Row("Disabled Features", "disabledFeatures"),
    Row("Agent Auto Upgrade Task Status", "agentAutoUpgradeTaskStatus"),
    Row("CPU Limit Backend", "cpuLimitBackend"),
)
OPERATING_SYSTEM: Sequence[Row] = (
    Row(SYSTEM, "operatingSystem", heading=True),
    Row("OS Name", "osName", group=SYSTEM),
    Row("OS Type", "osType", group=SYSTEM),
    Row("OS Version", "osVersion", group=SYSTEM),
    Row("OS SKU", "osSku", group=SYSTEM),
    Row("OS Edition", "osEdition", group=SYSTEM),
    Row("Computer Name", "computerName", group=SYSTEM),
    Row("Machine FQDN", "machineFqdn", group=SYSTEM),
    Row("DNS FQDN", "dnsFqdn", group=SYSTEM),
    Row("AD FQDN", "adFqdn", group=SYSTEM),
    Row("Domain Name", "domainName", group=SYSTEM),
)


@dataclass(frozen=True)
class Service:
    """A service of the agent."""

    display_name: str
    service_name: str
    status: str

    def document(self) -> dict[str, str]:
        """Its entry in `services`."""
        return {"displayName": self.display_name, "serviceName": self.service_name, "status": self.status}


@dataclass(frozen=True)
class Sheet:
    """All that is known about this machine.

    Args:
        values: by JSON name; strings.
        cloud_metadata: details of the cloud provider, shown as they are named.
        services: the agent's services.
        with_system: show details of the operating system.
    """

    values: Mapping[str, str]
    cloud_metadata: Mapping[str, str]
    services: Sequence[Service]
    with_system: bool = False

    def lines(self, wanted: Sequence[str] = ()) -> list[str]:
        """The text, or of it the `wanted` properties: labels or JSON names, in the order of the text.

        Raises:
            AgentError: 23, there is no such property.
        """
        return [self._line(row) for row in self._chosen(wanted)]

    def document(self, wanted: Sequence[str] = ()) -> dict[str, Any]:
        """The flat JSON object, or of it the `wanted` properties.

        Raises:
            AgentError: 23, there is no such property.
        """
        shown: dict[str, Any] = {}
        for row in self._chosen(wanted):
            if row.label == SERVICES:
                shown["services"] = [service.document() for service in self.services]
            elif row.label == CLOUD_METADATA:
                shown["cloudMetadata"] = dict(self.cloud_metadata)
            elif not row.heading and row.group not in {SERVICES, CLOUD_METADATA}:
                shown[row.key] = self.values.get(row.key, "")
        return shown

    def _rows(self) -> Iterable[Row]:
        for row in BEFORE_SERVICES:
            yield row
            if row.label == CLOUD_METADATA:
                yield from (Row(name, name, group=CLOUD_METADATA) for name in self.cloud_metadata)
        for service in self.services:
            label = f"{service.display_name} ({service.service_name})"
            yield Row(label, service.service_name, group=SERVICES)
        yield from AFTER_SERVICES
        if self.with_system:
            yield from OPERATING_SYSTEM

    def _chosen(self, wanted: Sequence[str]) -> list[Row]:
        rows = list(self._rows())
        if not wanted:
            return rows
        names = {name.lower() for name in wanted}
        known = {spelling.lower() for row in rows for spelling in (row.label, row.key)}
        if unknown := [name for name in wanted if name.lower() not in known]:
            raise AgentError(
                23,
                f"unknown property '{unknown[0]}'",
                "Properties are named by their label or JSON key; azcmagent show -j prints the keys.",
            )
        asked = [row for row in rows if names & {row.label.lower(), row.key.lower()}]
        groups = {row.label for row in asked if row.heading}
        return [row for row in rows if row in asked or row.group in groups]

    def _line(self, row: Row) -> str:
        if row.heading:
            return row.label
        indented = f"  {row.label}" if row.group else row.label
        return f"{indented:<{_WIDTH}}: {self._value(row)}"

    def _value(self, row: Row) -> str:
        if row.group == CLOUD_METADATA:
            return self.cloud_metadata[row.key]
        if row.group == SERVICES:
            return next(item.status for item in self.services if item.service_name == row.key)
        return self.values.get(row.key, "")
