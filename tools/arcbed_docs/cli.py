"""A command line reference from a program's own command tree, the one that `--help` prints."""

from __future__ import annotations

import inspect
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
    parameters = [item for item in command.params if not getattr(item, "hidden", False)]
    arguments = [item for item in parameters if item.param_type_name == "argument"]
    options = [item for item in parameters if item.param_type_name == "option"]
    if _is_group(command) and not options:
        return ""
    lines = [f"## {path}", inspect.cleandoc(command.help or "").replace("\b\n", "")]
    if not _is_group(command):
        usage = [
            path,
            "[OPTIONS]" if options else "",
            *(item.make_metavar(_context(command)) for item in arguments),
        ]
        lines.append("```\n" + " ".join(part for part in usage if part) + "\n```")
    if arguments:
        lines.append(
            text.table(
                ("argument", "meaning"), [(text.code(_human(item)), _meaning(item)) for item in arguments]
            )
        )
    if options:
        lines.append(
            text.table(("option", "meaning"), [(_spelling(item), _meaning(item)) for item in options])
        )
    return "\n\n".join(line for line in lines if line)


def _context(command: Any) -> Any:
    return command.context_class(command, info_name=command.name)


def _human(parameter: Any) -> str:
    return str(parameter.human_readable_name)


def _spelling(option: Any) -> str:
    names = ", ".join(text.code(name) for name in [*option.opts, *option.secondary_opts])
    kind = "" if option.is_flag or option.count else f" {option.metavar or option.type.name.upper()}"
    return names + kind


def _meaning(parameter: Any) -> str:
    words = [inspect.cleandoc(getattr(parameter, "help", None) or "")]
    choices = getattr(parameter.type, "choices", None)
    if choices:
        words.append("One of " + ", ".join(text.code(getattr(item, "value", item)) for item in choices) + ".")
    if getattr(parameter, "envvar", None):
        words.append(f"Environment: {text.code(parameter.envvar)}.")
    default = parameter.default
    if (
        default not in (None, False, "", ())
        and not callable(default)
        and "UNSET" not in repr(default).upper()
    ):
        words.append(f"Default: {text.code(getattr(default, 'value', default))}.")
    if parameter.required and parameter.param_type_name == "option":
        words.append("Required.")
    return " ".join(word for word in words if word)


def _first_line(command: Any) -> str:
    return inspect.cleandoc(command.help or command.short_help or "").split("\n", 1)[0]


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")
