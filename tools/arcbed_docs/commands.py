"""The three command lines: azcmagent from its table of commands, the other two from their typer apps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from arcbed_docs import cli, text


def azcmagent() -> str:
    """The reference of azcmagent: what ``azcmagent help`` prints for each command."""
    from arcbed_agent.cli.command import COMMANDS
    from arcbed_agent.cli.usage import command_usage

    entries = [(path, entry) for path, entry in _entries("", COMMANDS) if not entry.below]
    overview = text.table(
        ("command", "purpose"),
        [(f"[`azcmagent {path}`](#{_anchor(path)})", entry.summary) for path, entry in entries],
    )
    sections = [f"## {path}\n\n```\n{command_usage(path, entry.load())}\n```" for path, entry in entries]
    return text.page("azcmagent", "`azcmagent help`", text.intro("azcmagent"), overview, *sections)


def fakecloud() -> str:
    """The reference of fakecloud."""
    from arcbed_cloud.cli import app

    return _typer("fakecloud", app)


def arcbed() -> str:
    """The reference of arcbed."""
    from arcbed.cli import app

    return _typer("arcbed", app)


def _typer(program: str, app: Any) -> str:
    import typer

    return cli.page(program, typer.main.get_command(app), f"`{program} --help`", text.intro(program))


def _entries(above: str, entries: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, entry in entries.items():
        path = f"{above} {name}".strip()
        yield path, entry
        if entry.below:
            yield from _entries(path, entry.below)


def _anchor(path: str) -> str:
    return path.replace(" ", "-")
