"""A Linux machine.

The properties are those of Microsoft's article "Overview of the Azure Connected Machine agent", section
"Instance metadata", under the names of ARM's Machine.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from arcbed_agent.errors import AgentError
from arcbed_agent.host import devices, identity, provider, software, support
from arcbed_agent.host.contract import CloudProvider
from arcbed_agent.host.hardware import Hardware
from arcbed_agent.host.provider import MetadataAddresses
from arcbed_agent.host.sources import Sources

_TEST_VARIABLE = "MSFT_ARC_TEST"


class LinuxHost:
    """The machine behind `sources`.

    Args:
        sources: files, commands and system calls that describe the machine.
        addresses: the metadata services to ask.
        support_table: ``current`` or ``2022``, see `support.TABLES`.
        cluster_resource_id: ARM id of the cluster this machine belongs to; nothing on a Linux machine
            tells it.
    """

    def __init__(
        self,
        sources: Sources,
        addresses: MetadataAddresses,
        *,
        support_table: str = support.CURRENT,
        cluster_resource_id: str = "",
    ) -> None:
        self._sources = sources
        self._addresses = addresses
        self._support_table = support_table
        self._cluster_resource_id = cluster_resource_id

    def hostname(self) -> str:
        """The machine's short name.

        Raises:
            AgentError: 102, the machine has no name.
        """
        return identity.hostname(self._sources)

    @cached_property
    def _provider(self) -> CloudProvider:
        return provider.detect(self._addresses)

    def cloud(self) -> CloudProvider:
        """The cloud provider; asked once, since a running machine does not change its cloud."""
        return self._provider

    def metadata(self) -> dict[str, Any]:
        """Instance metadata under the property names of ARM's Machine, without `agentVersion`."""
        sources = self._sources
        name = self.hostname()
        machine, databases = Hardware.of(sources), software.discovered(sources)
        document = {
            **identity.operating_system(sources),
            **identity.names(sources),
            "displayName": name,
            "osProfile": {"computerName": name},
            "vmUuid": machine.board.uuid,
            **machine.profiles(),
            "storageProfile": devices.storage_profile(sources),
            "networkProfile": devices.network_profile(sources),
            "cloudMetadata": {"provider": self.cloud().provider},
            "mssqlDiscovered": databases["mssqldiscovered"],
            "detectedProperties": self._detected(machine, databases),
        }
        if self._cluster_resource_id:
            document["parentClusterResourceId"] = self._cluster_resource_id
        return document

    def _detected(self, machine: Hardware, databases: dict[str, str]) -> dict[str, str]:
        cloud = self.cloud()
        return {
            "cloudprovider": cloud.provider,
            **cloud.details,
            **machine.detected(),
            **databases,
            "productType": identity.UNKNOWN,
            "vmuuidEsu2012": "",
        }

    def refusal(self) -> AgentError | None:
        """Why this machine may not be connected, or None.

        An Azure virtual machine is known by its metadata service; one of Azure Stack Hub or Edge by the
        ``azEnvironment`` that service names; appliances (Azure Stack HCI, Azure Stack Edge) by the name
        of their operating system. ``MSFT_ARC_TEST=true`` turns the first two into a warning.
        """
        if self._is_azure and not self._overridden:
            return AgentError(3, self._azure_reason, "Azure virtual machines are managed without this agent.")
        return support.unsupported_system(self._sources, self._support_table)

    def warnings(self) -> list[str]:
        """The refusal that ``MSFT_ARC_TEST=true`` overrides, if there is one."""
        if self._is_azure and self._overridden:
            return [f"{self._azure_reason}. Going on because {_TEST_VARIABLE}=true; for tests only."]
        return []

    @property
    def _is_azure(self) -> bool:
        return self.cloud().provider == "Azure"

    @property
    def _azure_reason(self) -> str:
        environment = self.cloud().details.get("azEnvironment", "")
        stack = environment.lower().startswith("azurestack")
        kind = (
            f"a virtual machine of Azure Stack Hub or Edge ({environment})"
            if stack
            else "an Azure virtual machine"
        )
        return f"cannot install Azure Connected Machine agent on {kind}"

    @property
    def _overridden(self) -> bool:
        """Set in the shell, or for services through ``systemctl set-environment``."""
        if self._sources.environment.get(_TEST_VARIABLE, "").lower() == "true":
            return True
        return f"{_TEST_VARIABLE}=true" in self._sources.run(["systemctl", "show-environment"]).splitlines()
