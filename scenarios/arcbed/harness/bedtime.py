"""The bed's time as stories move it. Real time is `arcbed.harness.clock`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from arcbed.harness.admin import Admin
from arcbed.harness.errors import BedError
from arcbed.harness.recorder import Recorder
from arcbed_agent.clock import Clock, open_clock

T = TypeVar("T")
#: Real seconds without a sign of life after which work that the clock does not know counts as waiting.
GRACE: Final = 0.25
#: Real seconds for such work to end once there is nothing left for time to do.
PATIENCE: Final = 15.0


class Time:
    """Looks at the bed's clock and moves it.

    Args:
        admin: of the control plane.
        recorder: where jumps are noted.
        channel: settings of the clock's channel, where this process holds time for the commands that it
            starts; none where time flows anyway.
    """

    def __init__(
        self, admin: Admin, recorder: Recorder | None = None, channel: Mapping[str, str] | None = None
    ) -> None:
        self._admin = admin
        self._recorder = recorder
        self._channel = channel
        self._clock: Clock | None = None
        self._commands = 0
        self._open = AsyncExitStack()
        self._passing: list[str] = []
        self.repeatable = True
        self._told = False

    async def start(self) -> None:
        """Get a line to the keeper, if there is one to get."""
        if self._channel:
            settings = {**self._channel, "clock.machine": "bed"}
            clock = await asyncio.to_thread(open_clock, settings, "story")
            self._clock = await self._open.enter_async_context(clock)

    async def close(self) -> None:
        """Hang up."""
        self._clock = None
        await self._open.aclose()

    async def now(self) -> datetime:
        """The bed's time."""
        return _read(await self.show())

    async def show(self) -> dict[str, Any]:
        """What ``GET /_fakecloud/clock`` says: now, mode, who runs, who waits until when."""
        found: dict[str, Any] = await self._admin.call("GET", "clock")
        return found

    async def advance(self, delta: timedelta | None = None, **parts: float) -> datetime:
        """Move the bed by `delta` or by ``days=``, ``hours=``, ``minutes=``, ``seconds=``.

        All that is due on the way happens, in its order; the bed's time afterwards.

        Raises:
            BedError: a task does not come to rest; the message names it.
        """
        length = (delta or timedelta()) + timedelta(**parts)
        if self._recorder:
            self._recorder.event("note", f"time goes on by {length}")
        body = {"seconds": length / timedelta(seconds=1)}
        return _read(await self._admin.call("POST", "clock/advance", body, limit=None))

    async def advance_to(self, instant: datetime) -> datetime:
        """Move the bed to `instant`; a past one changes nothing."""
        return await self.advance(max(timedelta(), instant - await self.now()))

    async def until(self, work: Awaitable[T], *, limit: timedelta, what: str = "the story") -> T:
        """What `work` gives; meanwhile time goes on to the next deadline whenever everybody sleeps.

        The clock knows of commands on machines. For other work, such as an SDK's poller in a thread, a short
        real-time grace stands in, after which the run is not repeatable.

        Args:
            work: an awaitable.
            limit: how much of the bed's time it may take.
            what: how messages call it.

        Raises:
            BedError: it has not ended at the limit; the message says who waits for what.
        """
        task = asyncio.ensure_future(work)
        end = await self.now() + limit
        try:
            while not await self._over(task):
                if not (await self._step(end))["moved"]:
                    await self._last_chance(task, limit, what)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    @asynccontextmanager
    async def let_pass(self, *names: str) -> AsyncIterator[None]:
        """Let time pass while the tasks called so run, or those below: ``web-01/gcad/worker``."""
        self._passing += names
        await self._admin.call("PUT", "clock/passing", {"tasks": self._passing})
        self._spoil(f"time passed while {', '.join(names)} ran")
        try:
            yield
        finally:
            for name in names:
                self._passing.remove(name)
            await self._admin.call("PUT", "clock/passing", {"tasks": self._passing})

    @asynccontextmanager
    async def command(self, name: str) -> AsyncIterator[dict[str, str]]:
        """Hold time for a process that the block starts and waits for; variables for its environment."""
        if self._clock is None:
            yield {}
            return
        async with self._clock.child(name) as variables:
            self._commands += 1
            try:
                yield variables
            finally:
                self._commands -= 1

    # -- internals -----------------------------------------------------------------------------------------

    def _spoil(self, why: str) -> None:
        self.repeatable = False
        if self._recorder and not self._told:
            self._told = True
            self._recorder.event("note", f"not repeatable: {why}")

    async def _over(self, task: asyncio.Future[T]) -> bool:
        """Whether `task` has ended; if not, everybody sleeps."""
        await self._beside(task, self._admin.call("POST", "clock/settle", limit=None))
        if not task.done() and not self._commands:
            await asyncio.wait({task}, timeout=GRACE)
            if not task.done():
                self.repeatable = False
        return task.done()

    @staticmethod
    async def _beside(task: asyncio.Future[T], call: Coroutine[Any, Any, Any]) -> None:
        calling = asyncio.ensure_future(call)
        await asyncio.wait({task, calling}, return_when=asyncio.FIRST_COMPLETED)
        if calling.done():
            calling.result()
            return
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)

    async def _step(self, end: datetime) -> dict[str, Any]:
        body = {"limit": end.isoformat(), "repeatable": self.repeatable}
        stepped: dict[str, Any] = await self._admin.call("POST", "clock/step", body, limit=None)
        if stepped["moved"] and not self.repeatable:
            self._spoil("real time chose when the clock went on")
        return stepped

    async def _last_chance(self, task: asyncio.Future[T], limit: timedelta, what: str) -> None:
        await asyncio.wait({task}, timeout=PATIENCE)
        if not task.done():
            shown = await self.show()
            waiting = ", ".join(
                f"{entry['task']} until {entry['until'] or 'it is woken'}" for entry in shown["waiting"]
            )
            raise BedError(
                f"{what} did not end within {limit} of the bed's time, which is {shown['now']}; "
                f"waiting: {waiting or 'nobody'}"
            )


def _read(shown: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(shown["now"]).astimezone(UTC)
