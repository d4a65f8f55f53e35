"""`disconnect`: the machine goes from Azure first, and only then from here."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from arcbed_agent.clock import Clock, ClockTask
from arcbed_agent.cloud.arm import ArmClient
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.config import AgentConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.identity import Identity
from arcbed_agent.himds.journal import remove_journal
from arcbed_agent.himds.messages import Progress
from arcbed_agent.himds.state import StateFile
from arcbed_agent.himds.tokens import MachineTokens
from arcbed_agent.himds.uplink import Uplink
from arcbed_agent.host.layout import Layout

#: Seconds for which a deletion may go on.
DELETE_LIMIT: Final = 600.0

Report = Callable[[Progress], Awaitable[None]]


class Removal:
    """Deletes the machine and forgets it."""

    def __init__(
        self,
        *,
        layout: Layout,
        clock: Clock,
        uplink: Uplink,
        identity: Identity,
        tokens: MachineTokens,
        state: StateFile,
        log: logging.Logger,
    ) -> None:
        self._layout = layout
        self._clock = clock
        self._uplink = uplink
        self._identity = identity
        self._tokens = tokens
        self._state = state
        self._log = log

    async def delete(self, target: AgentConfig, access_token: str, report: Report, task: ClockTask) -> None:
        """Delete the machine in Azure; one that is gone already is fine.

        Raises:
            AgentError: 43, it was not deleted; nothing has changed here.
        """
        await report(Progress(30, f"Deleting resource in Azure... Resource ID={target.resource_id}"))
        endpoints = await self._uplink.directory.endpoints(target.cloud)
        arm = ArmClient(self._uplink.transport, endpoints.arm, access_token, target.correlation_id)
        try:
            await arm.delete_machine(
                target.resource_id, clock=self._clock, sleep=task.sleep, limit=DELETE_LIMIT
            )
        except CloudError as error:
            if error.status == 404:
                return
            raise AgentError(
                43,
                f"Delete ARM Resource: Code: {error.code}, httpStatusCode: {error.status}, "
                f"message: {error.message}",
                advice="If the resource is gone already, use --force-local-only.",
            ) from error
        except UnreachableError as error:
            raise AgentError(43, f"Delete ARM Resource: {error}") from error

    def forget(self) -> None:
        """Remove configuration, certificate, key and state.

        The configuration goes first: from then on the machine is not connected, and what a crash leaves
        behind is removed at the next start.

        Raises:
            AgentError: 63, a file cannot be removed.
        """
        try:
            AgentConfig().save(self._layout)
            remove_journal(self._layout)
            self._identity.forget()
            self._state.forget()
        except OSError as error:
            raise AgentError(63, f"the local configuration cannot be removed: {error}") from error
        self._tokens.forget()
        self._log.info("Local configuration was reset")
