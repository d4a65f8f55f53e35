"""The ``extd`` command, for authors of extensions: run the life cycle of a package without any cloud."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence


def main(words: Sequence[str] | None = None) -> None:
    """Run ``extd`` and leave the process: 0 as it should be, 1 refused, 2 wrong usage, 3 a rule is broken."""
    from setproctitle import setproctitle

    setproctitle("extd")
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
    from arcbed_agent.extd.cli.test import test_package

    return test_package(_parser().parse_args(words))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="extd", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    test = commands.add_parser("test", help="install, enable, change, disable and uninstall a package")
    test.add_argument("package", metavar="PACKAGE.zip")
    test.add_argument("--settings", metavar="FILE", help="public settings, a JSON object")
    test.add_argument("--protected-settings", metavar="FILE", help="protected settings, a JSON object")
    test.add_argument("--update", metavar="PACKAGE.zip", help="another version, installed over the first")
    test.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    test.add_argument("--keep", metavar="FOLDER", help="leave the machine's files in this empty folder")
    test.add_argument(
        "--allow-host-changes",
        action="store_true",
        help="run the handler on this computer instead of in namespaces of its own",
    )
    test.add_argument(
        "--seconds", type=float, default=300.0, metavar="N", help="limit of each operation (default 300)"
    )
    return parser
