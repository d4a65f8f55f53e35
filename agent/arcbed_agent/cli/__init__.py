"""azcmagent: one module per command. Each is imported only when it is run."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(words: Sequence[str] | None = None) -> None:
    """Run azcmagent and leave the process with the documented exit code."""
    from arcbed_agent.cli.application import run

    sys.exit(run(sys.argv[1:] if words is None else words))
