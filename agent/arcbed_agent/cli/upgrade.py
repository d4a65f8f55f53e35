"""azcmagent upgrade."""

from __future__ import annotations

from dataclasses import replace

from arcbed_agent import AGENT_VERSION
from arcbed_agent.cli import flags
from arcbed_agent.cli.command import Arguments, Command
from arcbed_agent.cli.session import Session
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.state import rfc3339
from arcbed_agent.upgrade import Attempt, PackageManager, find_package_manager, matches
from arcbed_agent.upgrade.packages import checked


def run(session: Session, arguments: Arguments) -> dict[str, str] | None:
    """Install another version of the agent, and keep how that went for himds to report.

    Raises:
        AgentError: 3, this agent was not installed by a package manager; 23, there is no such version; 2, the
            package manager failed.
    """
    wanted = arguments.text("version")
    attempt = Attempt(
        desired_version=wanted,
        correlation_id=arguments.text("correlation-id"),
        timestamp=rfc3339(session.clock.now()),
    )
    attempt.save(session.layout)
    try:
        found = _upgrade(session, wanted)
    except AgentError as error:
        failed = replace(attempt, status="Failed", message=error.message)
        replace(failed, timestamp=rfc3339(session.clock.now())).save(session.layout)
        raise
    # The modules on disk are those of the other version by now: nothing is imported from here on.
    done = replace(attempt, desired_version=wanted or found, status="Success")
    replace(done, timestamp=rfc3339(session.clock.now())).save(session.layout)
    if session.terminal.as_json:
        return {"status": "success", "version": found}
    session.terminal.result(f"Agent version {found} is installed")
    return None


def _upgrade(session: Session, wanted: str) -> str:
    """Install the newest version that is `wanted`; the version."""
    if wanted:
        checked(wanted)
    manager = _package_manager(session)
    manager.refresh()
    found = sorted(
        (version for version in manager.versions() if not wanted or matches(wanted, version)), key=_order
    )
    if not found:
        raise AgentError(23, f"version {wanted or 'any'} of the agent is not in the package repository")
    if found[-1] != AGENT_VERSION:
        session.terminal.info(f"Upgrading from {AGENT_VERSION} to {found[-1]}")
        manager.install(found[-1])
    return found[-1]


def _package_manager(session: Session) -> PackageManager:
    manager = find_package_manager()
    if manager is None or not session.production:
        raise AgentError(3, "this agent was not installed by a package manager")
    return manager


def _order(version: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version.split(".")]


COMMAND = Command(
    "Upgrade the agent",
    run,
    flags=flags.UPGRADE,
    description="Upgrade the agent to the newest version in the package repository, or to a given one.",
    examples=("azcmagent upgrade", "azcmagent upgrade --version 1.68"),
    needs_root=True,
)
