"""Help texts, in the layout of the product's command line (cobra's)."""

from __future__ import annotations

from collections.abc import Mapping

from arcbed_agent.cli.command import Command, Entry
from arcbed_agent.cli.flags import COMMON, Flag

_PROGRAM = "azcmagent"


def command_usage(path: str, command: Command) -> str:
    """Help of one command; `path` is its name below azcmagent, such as ``config set``."""
    usage = " ".join(filter(None, (_PROGRAM, path, command.words, "[flags]")))
    sections = [command.description or f"{command.summary}.", f"Usage:\n  {usage}"]
    if command.needs_root:
        sections.insert(1, "Needs root. With ARC_ROOT set, the owner of that folder may run it as well.")
    if command.examples:
        sections.append("Examples:\n" + "\n".join(f"  {line}" for line in command.examples))
    offered = [flag for flag in command.flags if not flag.declined]
    if offered:
        sections.append("Flags:\n" + _flag_lines(offered))
    sections.append("Global Flags:\n" + _flag_lines(COMMON))
    if declined := [flag for flag in command.flags if flag.declined]:
        lines = (f"  --{flag.name}: {flag.declined}" for flag in declined)
        sections.append("Not supported here:\n" + "\n".join(lines))
    return "\n\n".join(sections)


def group_usage(path: str, entry: Entry | None, entries: Mapping[str, Entry]) -> str:
    """Help of azcmagent itself, or of a command that only has commands below it."""
    usage = " ".join(filter(None, (_PROGRAM, path)))
    title = f"{entry.summary}." if entry else "Azure Connected Machine agent of the arcbed testbed."
    width = max(map(len, entries)) + 1
    listed = "\n".join(f"  {name:<{width}} {item.summary}" for name, item in sorted(entries.items()))
    return "\n\n".join(
        (
            title,
            f"Usage:\n  {usage} [command]",
            f"Available Commands:\n{listed}",
            "Flags:\n" + _flag_lines(COMMON),
            f'Use "{usage} [command] --help" for more information about a command.',
        )
    )


def _flag_lines(flags: tuple[Flag, ...] | list[Flag]) -> str:
    named = [(_spelling(flag), flag.help) for flag in sorted(flags, key=lambda flag: flag.name)]
    width = max(len(spelling) for spelling, _ in named)
    return "\n".join(f"  {spelling:<{width}}   {text}" for spelling, text in named)


def _spelling(flag: Flag) -> str:
    short = f"-{flag.short}, " if flag.short else "    "
    value = "" if flag.kind == "bool" else f" {flag.kind}"
    return f"{short}--{flag.name}{value}"
