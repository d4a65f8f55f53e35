"""azcmagent config set."""

from __future__ import annotations

from typing import Any

from arcbed_agent.cli import flags
from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.config.change import change, check_mode
from arcbed_agent.cli.config.text import plain, services_of, shown
from arcbed_agent.cli.config.words import known
from arcbed_agent.cli.session import Session
from arcbed_agent.config import LocalConfig, Property, Value
from arcbed_agent.errors import AgentError


def run(session: Session, arguments: Arguments) -> dict[str, Any] | None:
    """Set a property; lists are replaced unless ``--add`` or ``--remove`` says otherwise.

    Raises:
        AgentError: 16, 23, 27 for what was asked; 69 or 70 for the file.
    """
    if len(arguments.words) < 2:
        raise AgentError(
            16, "a property and its value are needed", "azcmagent config info lists the properties."
        )
    if len(arguments.words) > 2:
        raise AgentError(
            101, f'unexpected argument "{arguments.words[2]}"', "Separate list items with commas."
        )
    item = known(arguments.words[0])
    _check_flags(item, arguments)

    def alter(config: LocalConfig) -> LocalConfig:
        check_mode(config, item.name)
        return config.with_value(item.name, _value(item, config, arguments))

    previous = change(session, alter)
    value = alter(previous)[item.name]
    if session.terminal.as_json:
        return {item.name: plain(value)}
    session.terminal.result(f"Config property {item.name} set to value {shown(value)}")
    for service in services_of(item.name):
        session.terminal.result(f"Updating service configuration: {service}")
    return None


def _check_flags(item: Property, arguments: Arguments) -> None:
    if arguments.on("add") and arguments.on("remove"):
        raise AgentError(27, "--add and --remove exclude each other")
    if not item.is_list and (arguments.on("add") or arguments.on("remove")):
        raise AgentError(23, f"config property {item.name} is not a list")


def _value(item: Property, config: LocalConfig, arguments: Arguments) -> Value:
    given = item.parse(arguments.words[1])
    if not isinstance(given, tuple):
        return given
    current = config.items(item.name)
    named = {entry.lower() for entry in given}
    if arguments.on("add"):
        held = {entry.lower() for entry in current}
        return (*current, *(entry for entry in given if entry.lower() not in held))
    if arguments.on("remove"):
        return tuple(entry for entry in current if entry.lower() not in named)
    return given


COMMAND = Command(
    "Set the value of a property",
    run,
    flags=flags.CONFIG_SET,
    words="[property] [value]",
    examples=(
        "azcmagent config set proxy.url http://proxy.contoso.com:8080",
        "azcmagent config set extensions.allowlist Microsoft.Azure.Extensions/CustomScript --add",
    ),
    needs_root=True,
)
