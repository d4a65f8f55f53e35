"""azcmagent config list."""

from __future__ import annotations

from typing import Any

from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.config.text import HEADING, documented, line, plain
from arcbed_agent.cli.session import Session


def run(session: Session, _arguments: Arguments) -> dict[str, Any] | None:
    """List the product's properties, and those of the testbed that are set."""
    config = session.local_config
    names = [item.name for item in documented()]
    names += [name for name in config.values if name not in names]
    if session.terminal.as_json:
        return {name: plain(config[name]) for name in names}
    session.terminal.result("\n".join((HEADING, *(line(name, config[name]) for name in names))))
    return None


COMMAND = Command("List all properties and their values", run)
