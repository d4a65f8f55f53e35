"""azcmagent disconnect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from arcbed_agent.cli import flags
from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.credentials import Credentials, check_token, obtain, read_credentials
from arcbed_agent.cli.session import Session
from arcbed_agent.cli.validation import Validator
from arcbed_agent.errors import AgentError

if TYPE_CHECKING:
    from arcbed_agent.himds.client import Progress, Status

_DONE = "Disconnected machine from Azure"
_DONE_LOCALLY = "Disconnected machine locally; its resource in Azure, if there is one, is still there"


def run(session: Session, arguments: Arguments) -> dict[str, Any] | None:
    """Disconnect this machine; with ``--force-local-only`` only here.

    Raises:
        AgentError: 43, Azure refused and nothing was changed; 63, it is not connected; or another
            documented one.
    """
    validator = Validator(arguments, session.settings)
    local_only = arguments.on("force-local-only")
    credentials = None if local_only else read_credentials(session, arguments, validator)
    if credentials:
        check_token(session, credentials)
    status = session.himds_status()
    if credentials is None:
        session.terminal.info("Disconnecting machine locally...")
        session.himds.disconnect(None, force_local_only=True, on_progress=_progress(session))
        return _tell(session, _DONE_LOCALLY)
    if status.registration == "none":
        raise AgentError(
            63, "the machine is not connected to Azure", "To reset local state only, use --force-local-only."
        )
    session.terminal.info("Disconnecting machine from Azure...")
    token = asyncio.run(_token(session, credentials, status))
    session.himds.disconnect(token, on_progress=_progress(session))
    return _tell(session, _DONE)


async def _token(session: Session, credentials: Credentials, status: Status) -> str:
    """A token for the tenant of the resource, unless the flags name another."""
    from dataclasses import replace

    from arcbed_agent.cloud.endpoints import resolve
    from arcbed_agent.cloud.transport import Transport

    cloud = status.cloud or "AzureCloud"
    credentials = replace(credentials, tenant=credentials.tenant or status.tenant_id)
    async with Transport(session.local_config, chance=session.chance) as transport:
        endpoints = await resolve(transport, session.local_config, cloud)
        return (await obtain(session, credentials, transport, endpoints, cloud)).value


def _progress(session: Session) -> Callable[[Progress], None]:
    """Show steps; the last one is told by `_tell`, which knows how much was done."""
    return lambda step: session.terminal.progress(step.percent, step.text if step.percent < 100 else "")


def _tell(session: Session, message: str) -> dict[str, str] | None:
    if session.terminal.as_json:
        return {"status": "success", "message": message}
    session.terminal.info(message)
    return None


COMMAND = Command(
    "Disconnect this machine from Azure",
    run,
    flags=flags.DISCONNECT,
    description="Delete this machine's resource in Azure and reset the agent's local state.",
    examples=(
        "azcmagent disconnect",
        "azcmagent disconnect --service-principal-id ID --service-principal-secret-file secret.txt",
        "azcmagent disconnect --force-local-only",
    ),
    needs_root=True,
)
