"""azcmagent config clear."""

from __future__ import annotations

from typing import Any

from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.config.change import change, check_mode
from arcbed_agent.cli.config.text import plain, services_of, shown
from arcbed_agent.cli.config.words import one_property
from arcbed_agent.cli.session import Session
from arcbed_agent.config import LocalConfig


def run(session: Session, arguments: Arguments) -> dict[str, Any] | None:
    """Set a property back to its default and tell what it was (agent 1.35).

    Raises:
        AgentError: 16, 23, 27 for what was asked; 69 or 70 for the file.
    """
    item = one_property(arguments)

    def alter(config: LocalConfig) -> LocalConfig:
        check_mode(config, item.name)
        return config.without(item.name)

    previous = change(session, alter)[item.name]
    if session.terminal.as_json:
        return {item.name: plain(item.default), "previous": plain(previous)}
    session.terminal.result(f"Config property {item.name} cleared, previous value: {shown(previous)}")
    for service in services_of(item.name):
        session.terminal.result(f"Updating service configuration: {service}")
    return None


COMMAND = Command("Set a property back to its default", run, words="[property]", needs_root=True)
