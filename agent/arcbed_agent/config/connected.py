"""`agentconfig.json`: what this machine is connected as."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Self

from arcbed_agent.config import files
from arcbed_agent.files import remove_durably, write_durably
from arcbed_agent.host.layout import Layout


@dataclass(frozen=True, kw_only=True)
class AgentConfig:
    """What this machine is in Azure. Empty strings: not connected."""

    subscription_id: str = ""
    resource_group: str = ""
    resource_name: str = ""
    tenant_id: str = ""
    location: str = ""
    cloud: str = ""
    vm_id: str = ""
    correlation_id: str = ""
    private_link_scope: str = ""
    identity_key_store: str = ""

    @property
    def connected(self) -> bool:
        """Whether `connect` has been completed."""
        return bool(self.vm_id and self.resource_name)

    @property
    def resource_id(self) -> str:
        """The ARM id of the machine, empty when not connected."""
        if not self.connected:
            return ""
        return machine_id(self.subscription_id, self.resource_group, self.resource_name)

    @classmethod
    def load(cls, layout: Layout) -> Self:
        """Read `agentconfig.json`, or its backup if the file is lost or broken.

        Raises:
            AgentError: 70, neither file can be read.
        """
        document = files.load(layout["agent_config"])
        known = {_camel(item.name): item.name for item in fields(cls)}
        return cls(**{known[key]: str(value) for key, value in document.items() if key in known})

    def save(self, layout: Layout) -> None:
        """Write the file and its backup; an empty configuration leaves no backup that could come back."""
        document = {_camel(key): value for key, value in asdict(self).items() if value}
        path = layout["agent_config"]
        if not self.connected:
            remove_durably(files.backup(path))
            write_durably(path, "{}\n", mode=0o644)
            return
        files.save(path, document, mode=0o644)


def machine_id(subscription_id: str, resource_group: str, name: str) -> str:
    """The ARM id of a machine."""
    return (
        f"/subscriptions/{subscription_id}/resourceGroups/{resource_group}"
        f"/providers/Microsoft.HybridCompute/machines/{name}"
    )


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)
