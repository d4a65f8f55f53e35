"""How gcad and extd live as daemons: they start, stop, and go on when the machine has changed."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol, Required, TextIO, TypedDict, Unpack

import httpx

from arcbed_agent import AGENT_VERSION
from arcbed_agent.clock import Clock
from arcbed_agent.cloud.transport import Transport, new_guid
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.exchange.local import Himds, LocalIdentity
from arcbed_agent.exchange.pulls import Pulls
from arcbed_agent.exchange.service import Service
from arcbed_agent.files import make_folder
from arcbed_agent.himds.ipc import IpcServer, Method, Report
from arcbed_agent.himds.uplink import Uplink
from arcbed_agent.host.layout import Layout
from arcbed_agent.host.lock import take_lock


class Given(TypedDict, total=False):
    """What either daemon is given: all that differs between a machine, a bed and a test.

    Keys:
        layout: the machine's files.
        clock: the machine's time.
        config: the local configuration; None reads it.
        identity: what the machine is; None asks himds.
        chance: source of ids, spreads and jitter.
        network: replaces the network (tests, in-process beds); None is TLS as the local configuration says.
        name: of the machine, in clock task names.
        log: where to write; None is the daemon's own.
    """

    layout: Required[Layout]
    clock: Required[Clock]
    config: LocalConfig | None
    identity: LocalIdentity | None
    chance: random.Random | None
    network: Callable[[], httpx.AsyncBaseTransport] | None
    name: str
    log: logging.Logger | None


class Loop(Protocol):
    """A task of the daemon."""

    async def run(self) -> None:
        """Work until cancelled."""


class Contacted(Protocol):
    """The last contact with the service, as far as it is the same for both."""

    @property
    def vm_id(self) -> str:
        """Which machine it was; empty before the first."""


class Kept(Protocol):
    """What the daemon has on disk, as far as it is the same for both."""

    @property
    def sync(self) -> Contacted:
        """The last contact."""


class Daemon(ABC):
    """Pulls what is wanted, works on it and reports; what that is, is a daemon's own.

    Construct and use it inside a running event loop.

    Args:
        word: what files, clock tasks and messages call it: ``gcad`` or ``extd``.
        title: what its log calls it.
        logger: that it writes to unless it is given another log.
        said: `extra` of what it logs about itself.
        given: see `Given`.

    Raises:
        AgentError: 70, the local configuration cannot be read; 23, a value in it cannot be used.
    """

    store: Kept
    service: Service
    pulls: Pulls
    ipc: IpcServer

    def __init__(
        self, word: str, title: str, logger: str, said: Mapping[str, Any], **given: Unpack[Given]
    ) -> None:
        self._word = word
        self._title = title
        self._said = said
        self.layout = layout = given["layout"]
        self.clock = clock = given["clock"]
        self.log = given.get("log") or logging.getLogger(logger)
        self.name = f"{given.get('name', 'machine')}/{word}"
        self._chance = chance = given.get("chance") or random.SystemRandom()
        network = given.get("network")
        instance = new_guid(chance)

        def transport(config: LocalConfig) -> Transport:
            inner = network() if network else None
            return Transport(config, component=word, instance=instance, chance=chance, inner=inner)

        self.uplink = Uplink(given.get("config") or LocalConfig.load(layout), clock, transport)
        self.identity: LocalIdentity = given.get("identity") or Himds(layout, clock)
        self._lock: TextIO | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # -- its life --------------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Start, say on standard output that it is ready, and run until SIGTERM or SIGINT.

        Raises:
            AgentError: see `start`.
        """
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        await self.start()
        print(f"{self._word} is ready", flush=True)
        try:
            await stopped.wait()
        finally:
            await self.stop()

    async def start(self) -> None:
        """Take the store, pick up what an earlier one left, and begin to work.

        Raises:
            AgentError: 6, another one runs or a folder cannot be used.
        """
        await self.open()
        async with self._starting():
            self._follow()
            loops = self._loops()
            await self.ipc.start()
        self._tasks = [asyncio.get_running_loop().create_task(loop.run()) for loop in loops]
        self.log.info("%s %s has started", self._title, AGENT_VERSION, extra=self._said)

    async def open(self) -> None:
        """Take the store and what else is needed, without beginning to work.

        Raises:
            AgentError: 6, another one runs or a folder cannot be used.
        """
        make_folder(self.layout["guest_config"])
        self._lock = take_lock(self.layout, self._word)
        async with self._starting():
            await self._open()

    @asynccontextmanager
    async def _starting(self) -> AsyncIterator[None]:
        try:
            yield
        except OSError as error:
            await self.stop()
            raise AgentError(6, f"{self._word} cannot start: {error}") from error

    async def stop(self) -> None:
        """Finish gracefully; everything that matters is on disk already."""
        await self.ipc.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._close()
        await self.identity.close()
        await self.uplink.close()
        if self._lock is not None:
            self.log.info("%s has stopped", self._title, extra=self._said)
            self._lock.close()
            self._lock = None

    # -- what is a daemon's own ------------------------------------------------------------------------------

    @abstractmethod
    def active(self) -> bool:
        """Whether there is anything to do: the machine is connected, and nobody has switched this off."""

    @abstractmethod
    def status(self) -> dict[str, Any]:
        """What the daemon knows now."""

    @abstractmethod
    async def _open(self) -> None:
        """Read what is on disk, and find out how work is done here.

        Raises:
            OSError: it cannot be used.
        """

    @abstractmethod
    def _loops(self) -> Sequence[Loop]:
        """The loops, ready to run now that it is known what the machine is, in the order of their start."""

    @abstractmethod
    async def _close(self) -> None:
        """Let go of what `_open` took; the loops have ended. Called again, it does nothing."""

    @abstractmethod
    async def _govern(self) -> None:
        """The local configuration has changed: what runs goes on with the limits of now."""

    @abstractmethod
    def _forget(self) -> None:
        """Forget what was wanted: the machine is not connected as it was."""

    @abstractmethod
    def _wake(self) -> None:
        """What the machine is may have changed: let the loops look again."""

    # -- what himds and people say ---------------------------------------------------------------------------

    def _follow(self) -> None:
        """Go on as what the machine is now."""
        machine = self.identity.config()
        before, self.service.machine = self.service.machine, machine
        known = self.store.sync.vm_id
        if known and known != machine.vm_id:
            self._forget()
            if isinstance(self.identity, Himds):
                self.identity.forget()
        if not self.active():
            self.pulls.end()
        elif before.vm_id != machine.vm_id or self.pulls.next is None:
            self.service.forget()
            self.pulls.begin(machine.vm_id)
        self._wake()

    def _methods(self) -> dict[str, Method]:
        async def reload(_parameters: dict[str, Any], _report: Report) -> dict[str, Any]:
            async with self.clock.task(f"{self.name}/reload"):
                await self.uplink.reload(LocalConfig.load(self.layout))
                await self._govern()
                self._follow()
                self.pulls.repace()
            return {}

        async def pull(_parameters: dict[str, Any], _report: Report) -> dict[str, Any]:
            async with self.clock.task(f"{self.name}/news"):
                self.pulls.now()
            return {}

        async def status(_parameters: dict[str, Any], _report: Report) -> dict[str, Any]:
            return self.status()

        return {"reload": reload, "pull": pull, "status": status}
