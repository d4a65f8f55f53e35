"""How a failure is told: to people, to programs, and to the log."""

from __future__ import annotations

import logging
from typing import Any

from arcbed_agent.cli.terminal import Terminal
from arcbed_agent.errors import AgentError
from arcbed_agent.logging import FATAL


class ToldError(AgentError):
    """A failure that the command's own JSON document tells; a second document would make it unreadable."""


def report(error: AgentError, terminal: Terminal, log: logging.Logger) -> int:
    """Print and log `error`; returns the exit code.

    The log gets an error line, ``Exit Code: AZCM0042: Failed To Create Resource``, and a fatal line: the
    order in which published logs have them, and what onboarding scripts search for.
    """
    log.error(error.message)
    log.info("Exit Code: %s: %s", error.code, error.title)
    log.log(FATAL, error.message)
    if terminal.as_json:
        if not isinstance(error, ToldError):
            terminal.document(failure_document(error))
        if not terminal.log_stderr:
            return error.number
    terminal.error(error.message)
    terminal.error(f"Exit Code: {error.code}: {error.title}")
    if error.advice:
        terminal.info(error.advice)
    return error.number


def failure_document(error: AgentError) -> dict[str, Any]:
    """What ``--json`` prints: the shape of the installer's output file, with recommended actions."""
    body: dict[str, Any] = {"code": error.code, "message": f"{error.title}: {error.message}"}
    if error.advice:
        body["recommendedActions"] = [error.advice]
    return {"status": "failed", "error": body}
