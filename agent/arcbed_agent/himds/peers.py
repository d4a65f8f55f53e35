"""What himds tells the machine's other daemons: that something has changed and they should look.

They need not be running: each looks by itself when it starts.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from arcbed_agent.himds.messages import LINE_LIMIT, socket_address
from arcbed_agent.host.layout import Layout

#: Real seconds for an answer.
PATIENCE: Final = 20.0

#: One word: ``reload`` (configuration or connection changed), ``pull`` or ``pull extensions`` (news).
Tell = Callable[[str], Awaitable[None]]


class Peers:
    """The guest configuration agent and the extension manager of this machine.

    Args:
        layout: where their sockets are.
        log: where it is noted that one does not answer.
    """

    def __init__(self, layout: Layout, log: logging.Logger) -> None:
        self._sockets = {"gcad": layout["gcad_socket"], "extd": layout["extd_socket"]}
        self._log = log

    async def __call__(self, word: str) -> None:
        """Say `word` to whom it concerns, and return when it has been acted on."""
        method, _, kind = word.partition(" ")
        concerned = {"reload": ("gcad", "extd"), "pull": ("extd",) if kind else ("gcad",)}
        await asyncio.gather(*(self._tell(name, method) for name in concerned.get(method, ())))

    async def _tell(self, name: str, word: str) -> None:
        path = self._sockets[name]
        if not path.exists():
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await _say(path, word)
        except (OSError, TimeoutError, ValueError) as error:
            self._log.debug("%s was not told to %s: %s", name, word, error)


async def _say(path: Path, word: str) -> None:
    with socket_address(path) as address:
        reader, writer = await asyncio.open_unix_connection(address, limit=LINE_LIMIT)
    try:
        writer.write(json.dumps({"method": word}).encode() + b"\n")
        await writer.drain()
        await reader.readline()
    finally:
        writer.close()
