"""What a command is, and which there are. Nothing here imports a command, so that starting is fast."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arcbed_agent.cli.flags import Flag

if TYPE_CHECKING:
    from arcbed_agent.cli.session import Session


@dataclass(frozen=True)
class Arguments:
    """What a person typed, or wrote into the ``--config`` file.

    Args:
        flags: values by long name; flags that were not given are absent.
        words: positional arguments.
    """

    flags: Mapping[str, str | bool]
    words: tuple[str, ...] = ()

    def text(self, name: str) -> str:
        """The value of a flag, stripped; empty when it was not given."""
        value = self.flags.get(name, "")
        return value.strip() if isinstance(value, str) else ""

    def on(self, name: str) -> bool:
        """Whether a bool flag is set."""
        return self.flags.get(name) is True

    def choice(self, name: str) -> bool | None:
        """A bool flag that knows a third state: not given."""
        value = self.flags.get(name)
        return value if isinstance(value, bool) else None


@dataclass(frozen=True)
class Command:
    """One command.

    Args:
        summary: for the list of commands.
        run: does it; returns what ``--json`` prints, or None when it printed all there is to print.
        flags: its own; the common ones come with every command.
        words: positional arguments as usage shows them.
        description: the first lines of its help, if more than the summary.
        examples: command lines for its help.
        needs_root: refuse other users (AZCM0018).
    """

    summary: str
    run: Callable[[Session, Arguments], Any]
    flags: tuple[Flag, ...] = ()
    words: str = ""
    description: str = ""
    examples: tuple[str, ...] = ()
    needs_root: bool = False


@dataclass(frozen=True)
class Entry:
    """A line in the list of commands: where the command is, or what is below it."""

    summary: str
    module: str = ""
    below: Mapping[str, Entry] | None = None

    def load(self) -> Command:
        """Import the command."""
        command = importlib.import_module(self.module).COMMAND
        assert isinstance(command, Command)  # noqa: S101 - our own modules
        return command


_ROOM = "arcbed_agent.cli"
COMMANDS: Mapping[str, Entry] = {
    "check": Entry("Run connectivity checks", f"{_ROOM}.check"),
    "config": Entry(
        "Change configuration settings of this machine",
        below={
            "clear": Entry("Set a property back to its default", f"{_ROOM}.config.clear"),
            "get": Entry("Get the value of a property", f"{_ROOM}.config.get"),
            "info": Entry("Describe the properties", f"{_ROOM}.config.info"),
            "list": Entry("List all properties and their values", f"{_ROOM}.config.list"),
            "set": Entry("Set the value of a property", f"{_ROOM}.config.set"),
        },
    ),
    "connect": Entry("Connect this machine to Azure", f"{_ROOM}.connect"),
    "disconnect": Entry("Disconnect this machine from Azure", f"{_ROOM}.disconnect"),
    "extension": Entry(
        "Manage extensions of this machine",
        below={
            "list": Entry("List the extensions of this machine", f"{_ROOM}.extension.list"),
            "remove": Entry("Remove extensions of this machine", f"{_ROOM}.extension.remove"),
        },
    ),
    "genkey": Entry("Generate the machine's key pair and print the public key", f"{_ROOM}.genkey"),
    "help": Entry("Help about any command", f"{_ROOM}.help"),
    "license": Entry("Print the license", f"{_ROOM}.license"),
    "logs": Entry("Collect log files in a .zip file", f"{_ROOM}.logs"),
    "show": Entry("Show the machine's metadata and the agent's status", f"{_ROOM}.show"),
    "upgrade": Entry("Upgrade the agent", f"{_ROOM}.upgrade"),
    "version": Entry("Print the version", f"{_ROOM}.version"),
}
