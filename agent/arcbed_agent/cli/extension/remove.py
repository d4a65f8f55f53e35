"""azcmagent extension remove."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from arcbed_agent.cli import flags
from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.extension.stopped import stopped
from arcbed_agent.cli.session import Session
from arcbed_agent.errors import AgentError


def run(session: Session, arguments: Arguments) -> dict[str, Any] | None:
    """Disable and uninstall extensions of this machine.

    Raises:
        AgentError: 16, neither a name nor --all; 23, both, or no such extension; 72, the extension service
            runs, or an extension is not gone.
    """
    from arcbed_agent.extd.local import installed, remove
    from arcbed_agent.gc_logs import open_policy_log

    name, everything = arguments.text("name"), arguments.on("all")
    if bool(name) == everything:
        number = 23 if name else 16
        raise AgentError(number, "say either which extension to remove (--name) or --all")
    gone: dict[str, bool] = {}
    with stopped(session):
        known = [one.name for one in installed(session.layout)]
        wanted = known if everything else [one for one in known if one.lower() == name.lower()]
        if name and not wanted:
            raise AgentError(23, f"there is no extension '{name}' on this machine")
        log = logging.Logger("gc_ext")  # noqa: LOG001 - its file is extd's, not the command line's
        log.addHandler(open_policy_log(session.layout["gc_ext_log"], session.clock))
        done = remove(
            session.layout, session.clock, session.local_config, wanted, log=log, told=gone.__setitem__
        )
        asyncio.run(done)
    return _tell(session, gone)


def _tell(session: Session, gone: dict[str, bool]) -> dict[str, Any] | None:
    if left := [one for one, is_gone in gone.items() if not is_gone]:
        raise AgentError(72, f"extensions could not be removed: {', '.join(left)}", "See gc_ext.log.")
    if session.terminal.as_json:
        return {"status": "success", "removed": list(gone)}
    for one in gone:
        session.terminal.result(f"Extension {one} was removed")
    if not gone:
        session.terminal.result("No extensions are installed")
    return None


COMMAND = Command(
    "Remove extensions of this machine",
    run,
    flags=flags.EXTENSION_REMOVE,
    description="Disable and uninstall extensions of this machine; the extension service must be stopped. "
    "What Azure still wants is installed again at the next contact.",
    examples=("azcmagent extension remove --name CustomScript", "azcmagent extension remove --all"),
    needs_root=True,
)
