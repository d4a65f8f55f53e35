"""The goal state: asked for every five minutes, or when it is said that there is news."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from arcbed_agent import exchange
from arcbed_agent.extd import desired
from arcbed_agent.extd.desired import Changes
from arcbed_agent.extd.goal import Goal, Package
from arcbed_agent.extd.secrets import Secrets
from arcbed_agent.extd.service import ExtensionService
from arcbed_agent.extd.store import Store
from arcbed_agent.extd.vault import Vault
from arcbed_agent.gc_logs import PULL, by
from arcbed_agent.himds.state import rfc3339

PERIOD: Final = 300.0
JITTER: Final = 0.1


class Pulls(exchange.Pulls):
    """Keeps the goals in the store as the service wants them.

    Args:
        name: of the clock task, ``machine/extd/pull``.
        contact: shared with the reports.
        changed: told after each answer what was new.
    """

    def __init__(
        self,
        *,
        name: str,
        contact: exchange.Contact,
        store: Store,
        vault: Vault,
        secrets: Secrets,
        service: ExtensionService,
        changed: Callable[[Changes], None],
        log: logging.Logger,
    ) -> None:
        super().__init__(name, contact, logging.LoggerAdapter(log, by(PULL)))
        self._store = store
        self._vault = vault
        self._secrets = secrets
        self._service = service
        self._changed = changed
        self._pace = PERIOD
        self._asking = asyncio.Lock()

    async def refresh(self, goal: Goal) -> Package | None:
        """Ask without regard to what is known; the package of `goal` as it is now.

        Raises:
            CloudError, UnreachableError, AgentError: nobody knows.
        """
        changes = await self._ask("")
        self._changed(changes)
        found = self._store.get(goal.name)
        return found.wanted.package if found and found.wanted.target == goal.target else None

    async def _pull(self) -> None:
        self._changed(await self._ask(self._store.sync.etag))

    async def _ask(self, etag: str) -> Changes:
        """Ask once; what comes back is on disk when this returns."""
        async with self._asking:
            self._log.info("Getting the extension goal state from the service")
            pull = await self._service.pull(etag)
            self._pace = float(pull.next_seconds) if pull.next_seconds and pull.next_seconds > 0 else PERIOD
            changes = Changes()
            if pull.document is not None:
                changes = desired.apply(self._store, pull.document, self._vault, self._secrets)
            self._note(changes)
            self._store.keep_sync(
                replace(
                    self._store.sync,
                    last=rfc3339(self._contact.clock.now()),
                    etag=pull.etag,
                    vm_id=self._service.machine.vm_id,
                )
            )
            code = 304 if pull.document is None else 200
            self._log.info("Goal state was received, return code %d", code)
            return changes

    def _note(self, changes: Changes) -> None:
        for name in changes.wanted:
            self._log.info("Extension '%s' has a new goal", name)
        for name in changes.gone:
            self._log.info("Extension '%s' is not wanted any more", name)
        for text in changes.refused:
            self._log.error("Item of the goal state cannot be used: %s", text)

    def _failed(self, error: Exception, wait: float) -> None:
        self._log.error("Failed to get the goal state: %s. Next try in %d seconds", error, int(wait))

    def _period(self) -> float:
        return float(self._service.config.number("extd.pullSeconds") or self._pace)

    def _jitter(self) -> float:
        return JITTER
