"""Which extensions this machine accepts.

Source: Microsoft's article "Extensions security": allow list, block list and monitor mode; deletion is always
accepted. Names are compared without case.
"""

from __future__ import annotations

from typing import Final

from arcbed_agent.config import LocalConfig
from arcbed_agent.extd.goal import Goal

#: Accepted in monitor mode. The published list is longer; these are its Linux members.
MONITORING: Final = frozenset(
    item.lower()
    for item in (
        "Microsoft.Azure.Monitor/AzureMonitorLinuxAgent",
        "Microsoft.Azure.AzureDefenderForServers/MDE.Linux",
        "Microsoft.Azure.Monitoring.DependencyAgent/DependencyAgentLinux",
        "Microsoft.EnterpriseCloud.Monitoring/OmsAgentForLinux",
        "Microsoft.GuestConfiguration/ConfigurationForLinux",
    )
)
#: Allows nothing (agent 1.35).
_NOTHING: Final = "allow/none"


def refusal(config: LocalConfig, goal: Goal) -> str:
    """Why this machine does not accept `goal`; empty if it does."""
    if goal.removal:
        return ""
    name = f"{goal.publisher}/{goal.kind}"
    if config.text("config.mode") == "monitor":
        if name.lower() in MONITORING:
            return ""
        return f"Extension {name} is not allowed: the agent is in monitor mode"
    if name.lower() in {item.lower() for item in config.items("extensions.blocklist")}:
        return f"Extension {name} is blocked by the local configuration (extensions.blocklist)"
    allowed = {item.lower() for item in config.items("extensions.allowlist")}
    if allowed and (name.lower() not in allowed - {_NOTHING}):
        return f"Extension {name} is not in the local allow list (extensions.allowlist)"
    return ""
