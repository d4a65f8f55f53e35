"""extd as a whole: what it is made of, how it starts and how it stops.

Everything that differs between a machine, a bed and a test is a constructor argument.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, TextIO

import httpx

from arcbed_agent import AGENT_VERSION
from arcbed_agent.archives import ArchiveLimits
from arcbed_agent.clock import Clock
from arcbed_agent.cloud.gas import GasDirectory
from arcbed_agent.cloud.transport import Transport, new_guid
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.exchange import Contact
from arcbed_agent.extd import outcome, rooms, settings, status
from arcbed_agent.extd.accounts import Accounts
from arcbed_agent.extd.commands import Commands
from arcbed_agent.extd.desired import Changes
from arcbed_agent.extd.folder import HEARTBEAT, Folder
from arcbed_agent.extd.manifest import ManifestError
from arcbed_agent.extd.operation import MANAGER, Tools
from arcbed_agent.extd.operator import Operator
from arcbed_agent.extd.outbox import Outbox
from arcbed_agent.extd.packages import Packages
from arcbed_agent.extd.pulls import Pulls
from arcbed_agent.extd.records import Extension
from arcbed_agent.extd.secrets import Secrets
from arcbed_agent.extd.service import ExtensionService
from arcbed_agent.extd.store import Store
from arcbed_agent.extd.vault import Vault
from arcbed_agent.files import make_folder
from arcbed_agent.gcad.local import Himds, LocalIdentity
from arcbed_agent.gcad.logs import by
from arcbed_agent.governor import Governor, Limits, announce, choose, retract, wishes
from arcbed_agent.himds.client import HimdsClient
from arcbed_agent.himds.ipc import IpcServer, Method, Report
from arcbed_agent.himds.uplink import Uplink
from arcbed_agent.host.layout import Layout
from arcbed_agent.host.lock import take_lock
from arcbed_agent.logging import Redactor

_PORT: Final = 40_342


class Extd:
    """One machine's extension manager. Construct and use it inside a running event loop.

    Args:
        layout: the machine's files.
        clock: the machine's time.
        config: the local configuration; None reads it.
        identity: what the machine is; None asks himds.
        chance: source of ids, spreads and jitter.
        network: replaces the network (tests); None is TLS as the local configuration says.
        governor: limits handlers; None chooses as the local configuration says.
        limits: what packages may hold; None is what is documented.
        name: of the machine, in clock task names.
        redactor: keeps secrets out of logs; share it with the log's formatter.
        log: where to write.

    Raises:
        AgentError: 70, the local configuration cannot be read; 23, a value in it cannot be used.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        clock: Clock,
        config: LocalConfig | None = None,
        identity: LocalIdentity | None = None,
        chance: random.Random | None = None,
        network: Callable[[], httpx.AsyncBaseTransport] | None = None,
        governor: Governor | None = None,
        limits: ArchiveLimits | None = None,
        name: str = "machine",
        redactor: Redactor | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        self.layout = layout
        self.clock = clock
        self.log = log or logging.getLogger("gc_ext")
        self.name = f"{name}/extd"
        self.redactor = redactor or Redactor()
        self._chance = chance = chance or random.SystemRandom()
        self._limits = limits
        self._governor = governor
        instance = new_guid(chance)

        def transport(config: LocalConfig) -> Transport:
            inner = network() if network else None
            return Transport(config, component="extd", instance=instance, chance=chance, inner=inner)

        local = LocalConfig.load(layout) if config is None else config
        self.uplink = Uplink(local, clock, transport)
        self.identity = identity or Himds(layout, clock)
        self.store = Store(layout, self.log)
        self.accounts = Accounts(layout, self.store, self._limits_now, self.log)
        self.vault = Vault(layout["extensions"])
        self.secrets = Secrets(layout, self.vault, self.redactor)
        self.service = ExtensionService(self.uplink, self.identity, GasDirectory(clock))
        shared: dict[str, Any] = {
            "contact": Contact(clock, chance, self.service, self.active),
            "store": self.store,
            "service": self.service,
            "log": self.log,
        }
        self.pulls = Pulls(
            name=f"{self.name}/pull",
            vault=self.vault,
            secrets=self.secrets,
            changed=self._pulled,
            **shared,
        )
        self.outbox = Outbox(name=f"{self.name}/report", describe=self._describe, **shared)
        self.ipc = IpcServer(layout["extd_socket"], self._methods(), self.log)
        self._operator: Operator | None = None
        self._lock: TextIO | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take the store, pick up what an earlier extd left, and begin to work.

        Raises:
            AgentError: 6, another extd runs or a folder cannot be used.
        """
        operator = await self.open(serving=True)
        try:
            self._follow()
            await self.ipc.start()
        except OSError as error:
            await self.stop()
            raise AgentError(6, f"extd cannot start: {error}") from error
        loops = (self.pulls, operator, self.outbox)
        self._tasks = [asyncio.get_running_loop().create_task(loop.run()) for loop in loops]
        self.log.info("Extension manager %s has started", AGENT_VERSION, extra=by(MANAGER))

    async def open(self, *, serving: bool = False) -> Operator:
        """Take the store and find out how handlers are run here, without beginning to work.

        Raises:
            AgentError: 6, another extd runs or a folder cannot be used.
        """
        self._take()
        try:
            self.store.load()
            await asyncio.to_thread(self.vault.open, self.clock.now())
            self.secrets.recall(self.store)
            self._operator = await self._make_operator(serving=serving)
        except OSError as error:
            await self.stop()
            raise AgentError(6, f"extd cannot start: {error}") from error
        return self._operator

    async def _make_operator(self, *, serving: bool) -> Operator:
        config = self.uplink.config
        if self._governor is None:
            self._governor = await choose(
                wishes(config), owner="extd", root=self.layout.root, clock=self.clock
            )
        self.accounts.governor = self._governor
        self.clock.listen(self.accounts.turned)
        announce(self.layout, "extd", self._governor.choice)
        self._rooms = await rooms.choose(
            self.layout, self._governor, allowed=config.flag("extd.allowHostChanges")
        )
        tools = Tools(
            layout=self.layout,
            clock=self.clock,
            store=self.store,
            packages=Packages(
                name=f"{self.name}/download",
                clock=self.clock,
                chance=self._chance,
                service=self.service,
                refresh=self.pulls.refresh,
                log=self.log,
                limits=self._limits,
            ),
            commands=Commands(self.clock, f"{self.name}/command", self._governor, self.redactor),
            rooms=self._rooms,
            vault=self.vault,
            limits=self._limits_now,
            endpoint=self._endpoint,
            redactor=self.redactor,
            log=self.log,
            progress=self.outbox.progress,
        )
        return Operator(
            name=f"{self.name}/operation",
            clock=self.clock,
            tools=tools,
            service=self.service,
            outbox=self.outbox,
            active=self.active,
            changed=self._ended if serving else lambda _name: None,
            log=self.log,
        )

    async def stop(self) -> None:
        """Finish gracefully. What handlers have started runs on, as it does when the daemon is killed."""
        await self.ipc.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.accounts.settled()
        await self.identity.close()
        await self.uplink.close()
        if self._lock is not None:
            retract(self.layout, "extd")
            self.log.info("Extension manager has stopped", extra=by(MANAGER))
            self._lock.close()
            self._lock = None

    async def end_handlers(self) -> None:
        """End everything that handlers have started; for beds and tests, which leave nothing behind."""
        for handler in {one.wanted.handler for one in self.store} | {one.name for one in self.store.handlers}:
            await self._rooms.leave(handler)
        if self._governor is not None:
            await self._governor.close()

    def poke(self) -> None:
        """The service has news: pull now."""
        self.pulls.now()

    def active(self) -> bool:
        """Whether there is anything to do: the machine is connected, and extensions are not off."""
        return self.uplink.config.flag("extensions.enabled") and self.service.machine.connected

    # -- what the loops tell each other ----------------------------------------------------------------------

    def _pulled(self, _changes: Changes) -> None:
        self.outbox.reached()
        self.accounts.publish()
        if self._operator is not None:
            self._operator.pulled()

    def _ended(self, name: str) -> None:
        """An operation has ended; a removal that nobody is to be told of leaves nothing."""
        extension = self.store.get(name)
        if extension and extension.settled and extension.wanted.removal and not extension.wanted.operation_id:
            self.store.remove(name)
        self.accounts.publish()

    def _describe(self, extension: Extension) -> Mapping[str, Any] | None:
        """The body of a G6."""
        self.accounts.publish()
        body = self._state(extension)
        if account := self.accounts.of(extension):
            body["governance"] = dict(account)
        return self.secrets.cleaned(body)

    def _state(self, extension: Extension) -> dict[str, Any]:
        """How the handler is now."""
        goal, handler = extension.wanted, self.store.handler(extension.wanted.handler)
        if not handler.version:
            return outcome.periodic(extension, handler, None, self.clock.now())
        folder = Folder(self.layout, goal.handler, handler.version)
        folder.collect_events()
        sequence = settings.number(goal, extension.protected)
        found = None
        with suppress(status.UnreadableError):
            path = folder.status_file(sequence, goal.extension_name)
            found = status.read(path, self.redactor.clean)
        with suppress(ManifestError):
            if extension.enabled and folder.manifest.report_heartbeat:
                pulse = status.read_heartbeat(folder.path / HEARTBEAT, self.clock.wall())
                body = outcome.periodic(extension, handler, found, self.clock.now())
                shown = {"status": pulse.status, "code": pulse.code, "message": pulse.message}
                return body | {"handler": shown}
        return outcome.periodic(extension, handler, found, self.clock.now())

    def _limits_now(self) -> Limits:
        return Limits.here(self.uplink.config, self.clock)

    async def _endpoint(self) -> str:
        """The machine's local endpoint; the documented one while himds does not answer."""
        port = self.uplink.config.number("himds.port") or _PORT
        with suppress(AgentError):
            found = await asyncio.to_thread(HimdsClient(self.layout, timeout=2.0).status)
            port = found.port or port
        return f"http://localhost:{port}"

    # -- what himds and people say ---------------------------------------------------------------------------

    def _follow(self) -> None:
        """Go on as what the machine is now."""
        machine = self.identity.config()
        before, self.service.machine = self.service.machine, machine
        known = self.store.sync.vm_id
        if known and known != machine.vm_id:
            # Documented: after a new connection the old extensions are not recognised; they stay on disk.
            self.log.info(
                "The machine is not connected as it was; extensions are forgotten", extra=by(MANAGER)
            )
            self.store.clear()
            if isinstance(self.identity, Himds):
                self.identity.forget()
        if not self.active():
            self.pulls.end()
        elif before.vm_id != machine.vm_id or self.pulls.next is None:
            self.service.forget()
            self.pulls.begin(machine.vm_id)
        self.outbox.wake()
        if self._operator is not None:
            self._operator.wake()

    def _methods(self) -> dict[str, Method]:
        async def reload(_parameters: dict[str, Any], _report: Report) -> dict[str, Any]:
            async with self.clock.task(f"{self.name}/reload"):
                await self.uplink.reload(LocalConfig.load(self.layout))
                await self.accounts.follow()
                self._follow()
                self.pulls.repace()
            return {}

        async def pull(_parameters: dict[str, Any], _report: Report) -> dict[str, Any]:
            async with self.clock.task(f"{self.name}/news"):
                self.poke()
            return {}

        async def state(_parameters: dict[str, Any], _report: Report) -> dict[str, Any]:
            return self.status()

        async def end(_parameters: dict[str, Any], _report: Report) -> dict[str, Any]:
            await self.end_handlers()
            return {}

        return {"reload": reload, "pull": pull, "status": state, "end-handlers": end}

    def status(self) -> dict[str, Any]:
        """What extd knows now."""
        return {
            "active": self.active(),
            "lastSync": self.store.sync.last,
            "busy": self._operator.busy if self._operator else "",
            "governance": self.accounts.now(),
            "extensions": [
                {
                    "name": one.name,
                    "handler": one.wanted.handler,
                    "version": self.store.handler(one.wanted.handler).version,
                    "sequenceNumber": one.wanted.sequence,
                    "desiredState": one.wanted.desired,
                    "settled": one.settled,
                    "state": one.result.get("state", ""),
                    "phase": one.current.phase if one.current else "",
                    "reportWaits": one.report is not None,
                }
                for one in self.store
            ],
        }

    def _take(self) -> None:
        make_folder(self.layout["guest_config"])
        self._lock = take_lock(self.layout, "extd")
