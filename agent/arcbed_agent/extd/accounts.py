"""What handlers have used of the CPU: for status reports, for the machine's metadata, and now.

A handler's account is that of its group while anything of it runs, and else that of its last operation.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from arcbed_agent.detected import DetectedFile
from arcbed_agent.extd.operation import MANAGER
from arcbed_agent.extd.records import Extension
from arcbed_agent.extd.store import Store
from arcbed_agent.gc_logs import by
from arcbed_agent.governor import Governor, GovernorError, Limit, Limits, in_words
from arcbed_agent.host.layout import Layout

#: Among the machine's `detectedProperties`; the name is ours.
USAGE: Final = "extensionsCpuUsage"


class Accounts:
    """The accounts of all extensions, and the limits of what runs.

    Args:
        limits: those of now.

    Attributes:
        governor: runs the handlers; None before it was chosen.
    """

    def __init__(
        self, layout: Layout, store: Store, limits: Callable[[], Limits], log: logging.Logger
    ) -> None:
        self._store = store
        self._limits = limits
        self._log = log
        self._following = asyncio.Lock()
        self._turning: set[asyncio.Task[None]] = set()
        self._file = DetectedFile(layout["extension_usage"])
        self.governor: Governor | None = None

    def now(self) -> Mapping[str, Mapping[str, Any]]:
        """The account of each group that there is, by handler, since it was made."""
        if self.governor is None:
            return {}
        return {name: usage.document() for name, usage in self.governor.usages().items()}

    def of(self, extension: Extension) -> Mapping[str, Any]:
        """The `governance` of a status report: ``docs/wire.md``, section 12.3."""
        usage = self.governor.usage(extension.wanted.handler) if self.governor else None
        found: Mapping[str, Any] = usage.document() if usage else extension.result.get("governance") or {}
        return found

    def publish(self) -> None:
        """Say in the machine's metadata what has been used."""
        words = {one.name: in_words(self.of(one)) for one in self._store}
        listed = "; ".join(f"{name}: {said}" for name, said in sorted(words.items()) if said)
        self._file.say({USAGE: listed} if listed else {})

    def turned(self) -> None:
        """Time has stopped, or flows again."""
        turning = asyncio.get_running_loop().create_task(self.follow())
        self._turning.add(turning)
        turning.add_done_callback(self._turning.discard)

    async def follow(self) -> None:
        """The configuration has changed, or time: what runs goes on with the limits of now."""
        async with self._following:
            limits = self._limits()
            for one in self._store:
                await self._hold(one.wanted.handler, limits.extension(one.wanted.kind))

    async def _hold(self, handler: str, limit: Limit) -> None:
        try:
            if self.governor is not None:
                await self.governor.limit(handler, limit)
        except GovernorError as error:
            text = "The limit of %s cannot be set for %s: %s"
            self._log.error(text, limit, handler, error, extra=by(MANAGER))

    async def settled(self) -> None:
        """Return when all that turned is done."""
        await asyncio.gather(*self._turning)
