"""The agent's two configuration files.

`agentconfig.json` says what this machine is connected as; it is ``{}`` while it is not connected.
`localconfig.json` holds what ``azcmagent config set`` wrote, under names with dots at the top level. Both
have a backup copy beside them (agent 1.62 and 1.65) from which a lost or broken file is restored.
"""

from arcbed_agent.config.connected import AgentConfig
from arcbed_agent.config.local import LocalConfig
from arcbed_agent.config.properties import PROPERTIES, property_named
from arcbed_agent.config.property import Property, Value

__all__ = ["PROPERTIES", "AgentConfig", "LocalConfig", "Property", "Value", "property_named"]
