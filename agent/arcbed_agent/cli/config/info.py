"""azcmagent config info."""

from __future__ import annotations

from typing import Any

from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.config.text import documented, plain, shown
from arcbed_agent.cli.config.words import known
from arcbed_agent.cli.session import Session
from arcbed_agent.config import Property

_TYPES = {bool: "boolean", int: "integer", str: "string", tuple: "list"}


def run(session: Session, arguments: Arguments) -> dict[str, Any] | None:
    """Describe the named properties, or all of the product's.

    Raises:
        AgentError: 23, an unknown property.
    """
    items = [known(name) for name in arguments.words] or documented()
    if session.terminal.as_json:
        return {item.name: _document(item) for item in items}
    session.terminal.result("\n\n".join(map(_text, items)))
    return None


def _document(item: Property) -> dict[str, Any]:
    return {"description": item.meaning, "type": _TYPES[type(item.default)], "default": plain(item.default)}


def _text(item: Property) -> str:
    kind, default = _TYPES[type(item.default)], shown(item.default) or "empty"
    return f"{item.name}\n  {item.meaning}.\n  Type: {kind}. Default: {default}"


COMMAND = Command("Describe the properties", run, words="[property...]")
