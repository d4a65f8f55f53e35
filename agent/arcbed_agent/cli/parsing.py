"""From words on the command line to a command and its arguments. Parsing is click's; the rest is ours."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from arcbed_agent.cli.command import COMMANDS, Arguments, Command, Entry
from arcbed_agent.cli.flags import COMMON, Flag
from arcbed_agent.errors import AgentError

_TRUTH = {
    "true": True,
    "1": True,
    "t": True,
    "yes": True,
    "false": False,
    "0": False,
    "f": False,
    "no": False,
}


@dataclass(frozen=True)
class Invocation:
    """What was typed.

    Args:
        path: the command's name, such as ``config set``; empty for azcmagent alone.
        command: None when only help can be shown.
        arguments: flags and words.
        entry: the place in the list of commands, when it is not a command itself.
    """

    path: str
    command: Command | None
    arguments: Arguments
    entry: Entry | None = None


def parse(words: Sequence[str]) -> Invocation:
    """Find the command in `words` and read its flags, which may stand before or behind its name.

    Raises:
        AgentError: 101, unknown command or flag; 19 or 23 for a bad ``--config`` file or flag value.
    """
    before, names, entry, rest = _find(words)
    path = " ".join(names)
    if entry is not None and entry.below is None:
        command = entry.load()
        arguments = _read([*before, *rest], (*command.flags, *COMMON), path, takes_words=bool(command.words))
        return Invocation(path, command, arguments)
    arguments = _read([*before, *rest], COMMON, path, takes_words=False)
    return Invocation(path, None, arguments, entry)


def _find(words: Sequence[str]) -> tuple[list[str], list[str], Entry | None, list[str]]:
    """The flags before the command, the command's name, its entry, and what is behind it."""
    before: list[str] = []
    names: list[str] = []
    entry: Entry | None = None
    entries: Mapping[str, Entry] = COMMANDS
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            before.append(word)
            if word == "--config" and rest:
                before.append(rest.pop(0))
        elif word in entries:
            names.append(word)
            entry = entries[word]
            if entry.below is None:
                break
            entries = entry.below
        else:
            raise _unparsable(
                f'unknown command "{word}" for "{" ".join(["azcmagent", *names])}"', " ".join(names)
            )
    return before, names, entry, rest


def _unparsable(message: str, path: str) -> AgentError:
    usage = " ".join(filter(None, ("azcmagent", path, "--help")))
    return AgentError(101, message, f"Run '{usage}' for usage.")


def _read(words: list[str], flags: Iterable[Flag], path: str, *, takes_words: bool) -> Arguments:
    known = {flag.name: flag for flag in flags}
    given, positional = _click(words, known.values(), path)
    if positional and not takes_words:
        raise _unparsable(f'unexpected argument "{positional[0]}"', path)
    given = {name: _typed(known[name], value) for name, value in given.items()}
    filed = _from_file(str(given["config"]), known) if "config" in given else {}
    return Arguments({**filed, **given}, positional)


def _click(words: list[str], flags: Iterable[Flag], path: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Flags and positional arguments; a bool flag may have its value behind ``=``."""
    flags = list(flags)
    parser = click.Command(
        "azcmagent",
        add_help_option=False,
        params=[
            # Every flag takes a value for click; `_expand` writes out those of the bools.
            *(click.Option(_spellings(flag), default=None) for flag in flags),
            click.Argument(["words"], nargs=-1),
        ],
    )
    expanded = list(_expand(words, flags))
    try:
        values = parser.make_context("azcmagent", expanded, resilient_parsing=False).params
    except click.UsageError as error:
        raise _unparsable(error.format_message().rstrip("."), path) from None
    positional = values.pop("words") or ()
    names = {_identifier(flag): flag.name for flag in flags}
    return {names[key]: value for key, value in values.items() if value is not None}, tuple(positional)


def _identifier(flag: Flag) -> str:
    return flag.name.replace("-", "_")


def _spellings(flag: Flag) -> list[str]:
    long = [f"--{name}" for name in (flag.name, *flag.aliases)]
    return [_identifier(flag), *([f"-{flag.short}"] if flag.short else []), *long]


def _expand(words: list[str], flags: list[Flag]) -> Iterator[str]:
    """Give every bool flag its value, so that it never swallows the word behind it; ``-jv`` becomes two."""
    bools = {spelling for flag in flags if flag.kind == "bool" for spelling in _spellings(flag)[1:]}
    valued = {spelling for flag in flags if flag.kind != "bool" for spelling in _spellings(flag)[1:]}
    rest = iter(words)
    for word in rest:
        letters = [f"-{letter}" for letter in word[1:]] if word[:1] == "-" and word[:2] != "--" else []
        if word in valued:
            yield word
            yield from itertools.islice(rest, 1)
        elif letters and all(letter in bools for letter in letters):
            yield from (f"{letter}true" for letter in letters)
        else:
            yield f"{word}=true" if word in bools else word


def _typed(flag: Flag, value: object) -> str | bool:
    if flag.kind == "bool":
        text = str(value).strip().lower()
        if text not in _TRUTH:
            raise AgentError(23, f"invalid value '{value}' for --{flag.name}: expected true or false")
        return _TRUTH[text]
    return str(value)


def _from_file(path: str, known: Mapping[str, Flag]) -> dict[str, str | bool]:
    """The flags in a ``--config`` file: keys are long names without dashes; the command line wins over it.

    Keys of other commands' flags are left alone, so that one file serves ``connect`` and ``disconnect``.

    Raises:
        AgentError: 19, there is no such file; 23, it is not a JSON or YAML object of simple values.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise AgentError(19, f"cannot read the config file '{path}': {reason}") from error
    try:
        document = _document(text)
        return {
            name: _plain(known[name], value)
            for name, value in document.items()
            if name in known and name not in {"config", "help"} and value is not None and value != ""
        }
    except AgentError as error:
        error.message = f"config file '{path}': {error.message}"
        raise


def _document(text: str) -> dict[Any, Any]:
    """The object in a JSON or YAML text; values in YAML are the text that stands there: 0123 stays 0123.

    Raises:
        AgentError: 23, it is neither, or no object.
    """
    document = _value(text)
    if not isinstance(document, dict):
        raise AgentError(23, "expected an object of flag names and values")
    return document


def _value(text: str) -> Any:
    import json

    import yaml

    with contextlib.suppress(ValueError):
        return json.loads(text)
    try:
        # BaseLoader makes strings of everything and runs nothing.
        return yaml.load(text, Loader=yaml.BaseLoader) or {}  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise AgentError(23, f"neither JSON nor YAML{place}") from None


def _plain(flag: Flag, value: object) -> str | bool:
    """A simple value; tags may also be an object."""
    if flag.name == "tags" and isinstance(value, dict):
        from arcbed_agent.cli.tags import render_pairs

        return render_pairs({str(key): str(item) for key, item in value.items()})
    if isinstance(value, (dict, list)):
        raise AgentError(23, f"{flag.name} must be a simple value")
    return _typed(flag, value)
