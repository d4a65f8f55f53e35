"""A bed for a test session: it lives in a loop of its own, and tests of either kind reach it through views.

A view has the handle's attributes. Its coroutine methods block (plain tests) or can be awaited in the test's
own loop (async tests). Handles that come out of a view are views again.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from arcbed.harness.arm import Arm
from arcbed.harness.bed import DEFAULT_GROUP, Bed
from arcbed.harness.cloud import Cloud
from arcbed.harness.contract import CloudOptions
from arcbed.harness.machine import Machine

T = TypeVar("T")
HANDLES = (Bed, Cloud, Machine, Arm)


class BedSession:
    """One bed on a loop in a thread.

    Args:
        keep: leave its folder behind.
        options: how the control plane differs from the default.
    """

    def __init__(self, *, keep: bool = False, options: CloudOptions | None = None) -> None:
        self._bed = Bed(options, keep=keep)
        self._loop = asyncio.SelectorEventLoop()
        # Not a daemon thread: children die with the thread that started them.
        self._thread = threading.Thread(target=self._loop.run_forever, name="arcbed")

    @property
    def folder(self) -> Path:
        """Where its state is."""
        return self._bed.folder

    @property
    def live(self) -> Bed:
        """The bed itself, for coroutines on its own loop."""
        return self._bed

    @property
    def bed(self) -> Any:
        """The bed with methods that block."""
        return self.view(self._bed, awaited=False)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.call(self._open())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.call(self._bed.__aexit__(*exc))
        finally:
            self._end()

    async def _open(self) -> None:
        await self._bed.__aenter__()
        try:
            await self._bed.cloud.register()
            await self._bed.cloud.new_group(DEFAULT_GROUP)
        except BaseException:
            await self._bed.__aexit__()
            raise

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What `coroutine` gives, run on the bed's loop; blocks."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def awaited(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What `coroutine` gives, run on the bed's loop, awaited on the caller's."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def view(self, handle: Any, *, awaited: bool) -> Any:
        """`handle` for a test; anything but a handle is given back as it is."""
        return _View(handle, self, awaited=awaited) if isinstance(handle, HANDLES) else handle


class _View:
    """A handle whose coroutine methods run on the bed's loop."""

    def __init__(self, handle: Any, session: BedSession, *, awaited: bool) -> None:
        self._handle = handle
        self._session = session
        self._awaited = awaited

    def __repr__(self) -> str:
        return f"<{type(self._handle).__name__} {getattr(self._handle, 'name', '')}>".replace(" >", ">")

    def __dir__(self) -> list[str]:
        return dir(self._handle)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._handle, name)
        if not inspect.iscoroutinefunction(found):
            return self._seen(found)
        return self._later(found) if self._awaited else self._now(found)

    def _seen(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._seen(item) for item in value]
        if inspect.ismethod(value) and isinstance(value.__self__, HANDLES):
            return lambda *args, **options: self._seen(value(*args, **options))
        return self._session.view(value, awaited=self._awaited)

    def _now(self, method: Any) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            return self._seen(self._session.call(method(*args, **options)))

        return call

    def _later(self, method: Any) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            return self._seen(await self._session.awaited(method(*args, **options)))

        return call
