"""What both commands need: nobody else works on extensions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from arcbed_agent.cli.session import Session
from arcbed_agent.errors import AgentError


@contextmanager
def stopped(session: Session) -> Iterator[None]:
    """Turn "another extd runs" into what to do about it.

    Raises:
        AgentError: 72.
    """
    try:
        yield
    except AgentError as error:
        if error.number != 6:
            raise
        advice = "Stop the service with: systemctl stop extd" if session.production else "Stop extd first."
        raise AgentError(72, "the extension service is running", advice) from error
