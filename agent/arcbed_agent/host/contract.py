"""What the agent may ask about the machine it runs on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from arcbed_agent.errors import AgentError


@dataclass(frozen=True)
class CloudProvider:
    """Whose hardware this is.

    Args:
        provider: ``N/A``, ``AWS``, ``GCP``, ``Azure`` or ``AzSHCI``, as ``azcmagent show`` prints it.
        details: what the provider's metadata service said (AWS: ``awsAccountId``, ``awsInstanceId``,
            ``awsRegion``); Microsoft publishes no names, these are ours.
    """

    provider: str = "N/A"
    details: Mapping[str, str] = field(default_factory=dict)


class Host(Protocol):
    """This machine. Every answer is read afresh, so a changed machine is reported as changed."""

    def hostname(self) -> str:
        """The machine's short name.

        Raises:
            AgentError: 102, the machine has no name.
        """

    def metadata(self) -> dict[str, Any]:
        """Instance metadata under the property names of ARM's Machine, without `agentVersion`."""

    def cloud(self) -> CloudProvider:
        """The cloud provider, asked of the link-local metadata services."""

    def refusal(self) -> AgentError | None:
        """Why this machine may not be connected, or None."""

    def warnings(self) -> list[str]:
        """What a person should know before connecting this machine, such as an overridden refusal."""
