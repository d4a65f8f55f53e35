"""Turns of the event loop, for tests that want what is ready to run, and no time to pass."""

from __future__ import annotations

import asyncio


async def turn() -> None:
    """Let everything that is ready run once."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_soon(done.set_result, None)
    await done
