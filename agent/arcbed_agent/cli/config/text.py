"""How properties of localconfig.json read on a terminal.

Layout of ``config list`` and the messages of ``config set``: as in Microsoft's published output.
"""

from __future__ import annotations

from arcbed_agent.config import PROPERTIES, Property, Value

HEADING = "Local Configuration Settings"
_WIDTH = 54
#: Marked so in the list (agent 1.58 took the mark off connection.type).
PREVIEW = frozenset({"incomingconnections.enabled", "incomingconnections.ports"})
#: Beginning of a property's name to the service that it concerns.
SERVICES = {"extensions.": "Extension Service", "guestconfiguration.": "GC Service"}


def shown(value: Value) -> str:
    """``true``, ``5``, ``text`` or ``[a,b]``."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{','.join(value)}]" if isinstance(value, tuple) else str(value)


def plain(value: Value) -> Value | list[str]:
    """`value` for JSON."""
    return list(value) if isinstance(value, tuple) else value


def line(name: str, value: Value) -> str:
    """One line of ``config list``."""
    label = f"{name} (preview)" if name in PREVIEW else name
    return f"  {label:<{_WIDTH}}: {shown(value)}"


def documented() -> list[Property]:
    """The product's properties, in the order of ``config list``."""
    return [item for item in PROPERTIES.values() if not item.ours]


def services_of(name: str) -> list[str]:
    """Display names of the services that a change of `name` concerns."""
    if name == "config.mode":
        return list(SERVICES.values())
    return [service for prefix, service in SERVICES.items() if name.startswith(prefix)]
