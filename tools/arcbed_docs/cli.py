"""A command line reference from a program's own command tree, the one that `--help` prints."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from arcbed_docs import text


def page(program: str, command: Any, source: str, intro: str) -> str:
    """The page of one program.

    Args:
        program: the name people type.
        command: its click command.
        source: the module it is made from.
        intro: what stands above the commands.
    """
    commands = list(_walk(program, command))
    overview = text.table(
        ("command", "purpose"),
        [
            (f"[`{path}`](#{_anchor(path)})", _first_line(item))
            for path, item in commands
            if not _is_group(item)
        ],
    )
    sections = [_section(path, item) for path, item in commands if path == program or not _is_group(item)]
    return text.page(program, source, intro, overview, *sections)


def _walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from _walk(f"{path} {name}", child)


def _is_group(command: Any) -> bool:
    return bool(getattr(command, "commands", None))


def _section(path: str, command: Any) -> str:
    context = command.context_class(command, info_name=path)
    records = [
        (item, record)
        for item in command.params
        if not getattr(item, "hidden", False) and (record := item.get_help_record(context)) is not None
    ]
    arguments = [(text.code(item.name), _meaning(*record)) for item, record in records if _is_argument(item)]
    options = [(_spelling(item), _meaning(*record)) for item, record in records if not _is_argument(item)]
    if _is_group(command) and not options:
        return ""
    lines = [f"## {path}", inspect.cleandoc(command.help or "")]
    if arguments:
        lines.append(text.table(("argument", "meaning"), arguments))
    if options:
        lines.append(text.table(("option", "meaning"), options))
    return "\n\n".join(line for line in lines if line)


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _spelling(option: Any) -> str:
    """Names only: how a value's type is written differs between versions of typer."""
    names = ", ".join(text.code(name) for name in [*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names} {option.metavar or 'VALUE'}"


def _meaning(left: str, right: str) -> str:
    choices = re.search(r"[<\[](\w+(?:\|\w+)+)[>\]]", left)
    one_of = f" One of {', '.join(text.code(name) for name in choices[1].split('|'))}." if choices else ""
    plain = re.sub(r"\s*\[(default: )", r" [\1", right)
    words, bracket, rest = plain.partition(" [default: ")
    return f"{words}{one_of}{bracket}{rest}"


def _first_line(command: Any) -> str:
    return inspect.cleandoc(command.help or command.short_help or "").split("\n", 1)[0]


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")
