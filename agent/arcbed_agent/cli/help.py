"""azcmagent help."""

from __future__ import annotations

from arcbed_agent.cli.command import COMMANDS, Arguments, Command
from arcbed_agent.cli.parsing import parse
from arcbed_agent.cli.session import Session
from arcbed_agent.cli.usage import command_usage, group_usage


def run(session: Session, arguments: Arguments) -> None:
    """Print the help of the command that the words name.

    Raises:
        AgentError: 101, there is no such command.
    """
    invocation = parse([word for word in arguments.words if not word.startswith("-")])
    if invocation.command is not None:
        session.terminal.result(command_usage(invocation.path, invocation.command))
        return
    entry = invocation.entry
    session.terminal.result(
        group_usage(invocation.path, entry, entry.below if entry and entry.below else COMMANDS)
    )


COMMAND = Command("Help about any command", run, words="[command]")
