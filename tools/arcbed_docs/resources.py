"""The page about ``gcad`` and the resources that packages may use."""

from __future__ import annotations

import argparse
import os

from arcbed_docs import text


def page() -> str:
    """The command line, the classes with their Set, and the rules of the Linux baseline."""
    from arcbed_agent.gcad.dsc.baseline import sshd
    from arcbed_agent.gcad.dsc.baseline.rules import NOT_SUPPORTED, RULES
    from arcbed_agent.gcad.dsc.compliance.procedures import PROCEDURES
    from arcbed_agent.gcad.dsc.registry import classes

    rows = [
        (
            ", ".join(text.code(name) for name in kind.names),
            ", ".join(kind.keys),
            (kind.__doc__ or "").strip().splitlines()[0],
            "yes" if kind.settable else "no",
        )
        for kind in classes()
    ]
    rules = sorted(RULES) + sorted(sshd.KEYS)
    return text.page(
        "Resources of packages, and gcad",
        "`arcbed_agent.gcad.dsc` and `arcbed_agent.gcad.cli`",
        text.intro("resources"),
        *_commands(),
        "## Classes",
        text.table(("class", "must be given", "what it is", "Set"), rows),
        "## Rules of the Linux security baseline",
        text.intro("baseline", decided=len(rules), all=len(rules) + len(NOT_SUPPORTED)),
        ", ".join(text.code(name) for name in sorted(NOT_SUPPORTED)),
        "## Procedures of rules that bring their own check",
        text.intro("procedures"),
        ", ".join(text.code(name) for name in sorted(PROCEDURES)),
    )


def _commands() -> list[str]:
    from arcbed_agent.gcad.cli import parser

    made = parser()
    parts = []
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                parts += [f"## gcad {name}", f"```text\n{_help(command)}\n```"]
    return parts


def _help(command: argparse.ArgumentParser) -> str:
    """The same for every width of a terminal, and for every Python from 3.11."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        return command.format_help().strip()
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
