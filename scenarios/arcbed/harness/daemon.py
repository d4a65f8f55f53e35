"""A daemon of a machine that is made of processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from arcbed.harness.process import Child
from arcbed.harness.programs import program, wait_ready


class Daemon:
    """Started, stopped and killed at will.

    Args:
        name: of the machine.
        script: the console script that it is.
        log: file that gets what it prints.
        env: its environment, when it starts.
        ready: whether it answers.
    """

    def __init__(
        self,
        name: str,
        script: str,
        log: Path,
        env: Callable[[], Mapping[str, str]],
        ready: Callable[[], Awaitable[bool]],
    ) -> None:
        self._name = name
        self._script = script
        self.log = log
        self._env = env
        self._ready = ready
        self._child: Child | None = None

    async def start(self) -> None:
        """Start it unless it runs, and return when it is ready.

        Raises:
            NotReadyError: it does not become ready.
            ProcessDiedError: it ends at once.
        """
        if self._child and self._child.alive:
            return
        self._child = child = Child(
            f"{self._script} on {self._name}", [program(self._script)], env=self._env(), log=self.log
        )
        await child.start()
        await wait_ready(child, self._ready)

    async def stop(self) -> None:
        """Stop it, as ``systemctl stop`` does."""
        child, self._child = self._child, None
        if child:
            await child.stop()

    async def kill(self) -> None:
        """End it as ``kill -9`` does."""
        child, self._child = self._child, None
        if child:
            await child.kill()

    def check(self) -> None:
        """Make sure that it runs, if it should.

        Raises:
            ProcessDiedError: it ended by itself.
        """
        if self._child and not self._child.alive:
            raise self._child.died()
