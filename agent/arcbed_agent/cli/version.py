"""azcmagent version."""

from __future__ import annotations

from arcbed_agent import AGENT_VERSION
from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.session import Session


def run(session: Session, _arguments: Arguments) -> dict[str, str] | None:
    """Print the version; the product's exact wording is not published."""
    if session.terminal.as_json:
        return {"version": AGENT_VERSION}
    session.terminal.result(f"azcmagent version {AGENT_VERSION}")
    return None


COMMAND = Command("Print the version", run)
