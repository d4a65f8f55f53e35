"""azcmagent license."""

from __future__ import annotations

import importlib.metadata

from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.session import Session
from arcbed_agent.errors import AgentError


def run(session: Session, _arguments: Arguments) -> dict[str, str] | None:
    """Print the license that the package was installed with.

    Raises:
        AgentError: 2, the installation lacks it.
    """
    text = _text()
    if session.terminal.as_json:
        return {"license": text}
    session.terminal.result(text.rstrip())
    return None


def _text() -> str:
    for file in importlib.metadata.files("arcbed") or []:
        if file.name == "LICENSE":
            return file.read_text(encoding="utf-8")
    raise AgentError(2, "the installed package holds no LICENSE file")


COMMAND = Command("Print the license", run)
