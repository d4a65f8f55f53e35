"""azcmagent extension list."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.extension.stopped import stopped
from arcbed_agent.cli.session import Session


def run(session: Session, _arguments: Arguments) -> list[dict[str, Any]] | None:
    """List the extensions of this machine.

    Raises:
        AgentError: 72, the extension service runs.
    """
    from arcbed_agent.extd.local import installed

    with stopped(session):
        found = installed(session.layout)
    if session.terminal.as_json:
        return [asdict(one) for one in found]
    if not found:
        session.terminal.result("No extensions are installed")
        return None
    rows = [("Name", "Publisher", "Type", "Version", "State")]
    rows += [(one.name, one.publisher, one.kind, one.version, one.state) for one in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        session.terminal.result("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)))
    return None


COMMAND = Command(
    "List the extensions of this machine",
    run,
    description="List the extensions of this machine; the extension service must be stopped.",
    examples=("azcmagent extension list",),
    needs_root=True,
)
