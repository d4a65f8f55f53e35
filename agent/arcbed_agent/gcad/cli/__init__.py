"""The ``gcad`` command, for authors of packages: evaluate one, or read its documents."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence


def main(words: Sequence[str] | None = None) -> None:
    """Run ``gcad`` and leave the process: 0 done, 1 refused or broken, 2 wrong usage, 3 not compliant."""
    from setproctitle import setproctitle

    setproctitle("gcad")
    try:
        sys.exit(run(sys.argv[1:] if words is None else words))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def run(words: Sequence[str]) -> int:
    """Do what `words` say.

    Returns:
        The exit code.
    """
    arguments = parser().parse_args(words)
    if arguments.command == "mof":
        from arcbed_agent.gcad.cli.mof import print_instances

        return print_instances(arguments.files)
    from arcbed_agent.gcad.cli.test import test_package

    return test_package(arguments)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(prog="gcad", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    mof = commands.add_parser("mof", help="print the instances of MOF files as JSON lines")
    mof.add_argument("files", nargs="+", metavar="FILE")
    _add_test(commands.add_parser("test", help="evaluate a package on this machine"))
    return whole


def _add_test(test: argparse.ArgumentParser) -> None:
    test.add_argument("package", metavar="PACKAGE.zip")
    mode = test.add_mutually_exclusive_group()
    words = {"get": "show the state of each resource", "test": "say whether it is as desired (the default)"}
    for name, text in {**words, "set": "correct what is not, then test again"}.items():
        mode.add_argument(f"--{name}", dest="mode", action="store_const", const=name, help=text)
    test.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="'[TYPE]ID;PROPERTY=VALUE'",
        help="override a property; may be given several times",
    )
    test.add_argument("--json", action="store_true", help="print the report as JSON")
    test.add_argument("--root", default="/", metavar="FOLDER", help="a folder that stands for the machine")
    test.add_argument(
        "--allow-host-changes", action="store_true", help="let --set change this machine, not only --root"
    )
    test.add_argument("--sha256", metavar="HEX", help="refuse the package unless it has this hash")
    test.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="FILE",
        help="refuse the package unless signed with this",
    )
    test.add_argument(
        "--script-seconds", type=float, default=600.0, metavar="N", help="limit of a script (default 600)"
    )
    test.set_defaults(mode="test")
