"""The worker under the policy agent's CPU limit.

The worker is one process that copies itself for each evaluation, so the group is the worker with all copies
and whatever scripts of a configuration have started, also what they left behind. The limit is set before the
first evaluation, not before the worker's own start: loading Python takes half a second of CPU, which would be
ten seconds of waiting at 5 %, and evaluates nothing. While time flows it then holds until the group is gone.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from arcbed_agent.clock import Clock
from arcbed_agent.config import LocalConfig
from arcbed_agent.gc_logs import DISPATCHER, by
from arcbed_agent.gcad.workers import Running
from arcbed_agent.governor import (
    Choice,
    Governed,
    Governor,
    GovernorError,
    Limit,
    Limits,
    Usage,
    announce,
    choose,
    retract,
    wishes,
)
from arcbed_agent.host.layout import Layout

OWNER: Final = "gcad"
#: The one group of this daemon.
GROUP: Final = "worker"


class GovernedProcesses:
    """Starts the worker in its group: a `workers.ProcessRunner`.

    Args:
        layout: the machine's files.
        clock: says whether time flows.
        config: names the limit, the back end, and whether limits are kept or only measured.
        log: told when a limit cannot be kept.
    """

    def __init__(self, layout: Layout, clock: Clock, config: LocalConfig, log: logging.Logger) -> None:
        self._layout = layout
        self._clock = clock
        self._config = config
        self._log = log
        self._governor: Governor | None = None
        self._announced: Choice | None = None
        self._running: Governed | None = None
        self._before: Usage | None = None
        self._holding = asyncio.Lock()
        self._turning: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Find out what limits here; the daemon must be the only one of its machine."""
        wished = wishes(self._config)
        self._governor = await choose(wished, owner=OWNER, root=self._layout.root, clock=self._clock)
        self._clock.listen(self._turned)
        self._tell()

    async def close(self) -> None:
        """End everything in the group and stop watching."""
        governor, self._governor = self._governor, None
        await asyncio.gather(*self._turning)
        if governor is not None:
            await governor.close()
            retract(self._layout, OWNER)

    async def start(self, command: Sequence[str], environment: Mapping[str, str]) -> Running:
        """Start the worker; what another worker has left running stays limited meanwhile."""
        governor = self._opened()
        self._running = self._before = None
        fresh = governor.usage(GROUP) is None
        self._running = await governor.launch(
            command,
            name=GROUP,
            limit=Limit(None, why="start of the worker") if fresh else self._limit(),
            environment=environment,
            stderr=sys.stderr.fileno(),
        )
        self._tell()
        return self._running

    async def begin(self) -> None:
        """An evaluation begins: the limit of now holds where time flows, and the account starts."""
        await self._hold()
        if self._running is not None:
            self._before = self._running.usage()

    async def end(self, running: Running) -> None:  # noqa: ARG002 - there is one
        """Kill the whole group."""
        if self._running is not None:
            try:
                await self._running.kill()
            except GovernorError as error:
                self._log.error("The worker cannot be ended: %s", error, extra=by(DISPATCHER))

    def used(self) -> Mapping[str, Any]:
        """The account of the evaluation that began last, also when its worker has ended."""
        if self._running is None:
            return {}
        usage = self._running.usage()
        return (usage.since(self._before) if self._before else usage).document()

    async def follow(self, config: LocalConfig) -> None:
        """The configuration has changed; a running evaluation goes on with the new limit."""
        self._config = config
        if self._before is not None:
            await self._hold()

    def accounts(self) -> Mapping[str, Mapping[str, Any]]:
        """The account of each group that there is, since it was made."""
        if self._governor is None:
            return {}
        return {name: usage.document() for name, usage in self._governor.usages().items()}

    def _opened(self) -> Governor:
        if self._governor is None:
            raise RuntimeError("the governor has not been opened")
        return self._governor

    def _limit(self) -> Limit:
        return Limits.here(self._config, self._clock).policy()

    def _turned(self) -> None:
        """Time has stopped, or flows again."""
        if self._governor is not None and self._before is not None:
            turning = asyncio.get_running_loop().create_task(self._hold())
            self._turning.add(turning)
            turning.add_done_callback(self._turning.discard)

    async def _hold(self) -> None:
        async with self._holding:
            limit = self._limit()
            try:
                if self._governor is not None:
                    await self._governor.limit(GROUP, limit)
            except GovernorError as error:
                self._log.error("The limit of %s cannot be set: %s", limit, error, extra=by(DISPATCHER))

    def _tell(self) -> None:
        """For `azcmagent show`; another back end may have been taken meanwhile."""
        choice = self._opened().choice
        if choice != self._announced:
            announce(self._layout, OWNER, choice)
            self._announced = choice
