"""azcmagent config get."""

from __future__ import annotations

from typing import Any

from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.config.text import plain, shown
from arcbed_agent.cli.config.words import one_property
from arcbed_agent.cli.session import Session


def run(session: Session, arguments: Arguments) -> dict[str, Any] | None:
    """Print one value.

    Raises:
        AgentError: 16 or 23, no or an unknown property.
    """
    item = one_property(arguments)
    value = session.local_config[item.name]
    if session.terminal.as_json:
        return {item.name: plain(value)}
    session.terminal.result(shown(value))
    return None


COMMAND = Command(
    "Get the value of a property", run, words="[property]", examples=("azcmagent config get proxy.url",)
)
