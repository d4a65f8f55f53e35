"""gcad as a whole: what it is made of, how it starts and how it stops.

Everything that differs between a machine, a bed and a test is a constructor argument.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TextIO

import httpx

from arcbed_agent import AGENT_VERSION
from arcbed_agent.clock import Clock
from arcbed_agent.cloud.gas import GasDirectory
from arcbed_agent.cloud.transport import Transport, new_guid
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.exchange import Contact
from arcbed_agent.files import make_folder
from arcbed_agent.gcad import reports
from arcbed_agent.gcad.compliance import ComplianceFile
from arcbed_agent.gcad.local import Himds, LocalIdentity
from arcbed_agent.gcad.logs import DISPATCHER, by
from arcbed_agent.gcad.outbox import Outbox
from arcbed_agent.gcad.package import Limits
from arcbed_agent.gcad.publisher import Publisher
from arcbed_agent.gcad.pulls import Pulls
from arcbed_agent.gcad.records import Assignment, Changes, Sync
from arcbed_agent.gcad.retention import Retention
from arcbed_agent.gcad.runs import Runs
from arcbed_agent.gcad.scheduler import Scheduler
from arcbed_agent.gcad.service import Service
from arcbed_agent.gcad.signature import KEYS
from arcbed_agent.gcad.store import Store
from arcbed_agent.gcad.workers import PlainProcesses, ProcessRunner, Workers
from arcbed_agent.himds.ipc import IpcServer, Method, Report
from arcbed_agent.himds.uplink import Uplink
from arcbed_agent.host.layout import Layout
from arcbed_agent.host.lock import take_lock


class Gcad:
    """One machine's guest configuration agent. Construct and use it inside a running event loop.

    Args:
        layout: the machine's files.
        clock: the machine's time.
        config: the local configuration; None reads it.
        identity: what the machine is; None asks himds.
        chance: source of ids, spreads and jitter.
        network: replaces the network (tests, in-process beds); None is TLS as the local configuration says.
        runner: starts the worker; None starts it without any limit.
        limits: what packages may hold; None is what is documented.
        name: of the machine, in clock task names.
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
        runner: ProcessRunner | None = None,
        limits: Limits | None = None,
        name: str = "machine",
        log: logging.Logger | None = None,
    ) -> None:
        self.layout = layout
        self.clock = clock
        self.log = log or logging.getLogger("gc_agent")
        self.name = f"{name}/gcad"
        self._chance = chance = chance or random.SystemRandom()
        instance = new_guid(chance)

        def transport(config: LocalConfig) -> Transport:
            inner = network() if network else None
            return Transport(config, component="gcad", instance=instance, chance=chance, inner=inner)

        local = LocalConfig.load(layout) if config is None else config
        self.uplink = Uplink(local, clock, transport)
        self.identity = identity or Himds(layout, clock)
        self.store = Store(layout)
        self.service = Service(self.uplink, self.identity, GasDirectory(clock))
        self._runner = runner or PlainProcesses()
        self.workers = Workers(layout, clock, f"{self.name}/worker", self._runner)
        self._compliance = ComplianceFile(layout)
        common: dict[str, Any] = {"clock": clock, "store": self.store, "log": self.log}
        self.scheduler = Scheduler(
            name=f"{self.name}/consistency",
            config=lambda: self.uplink.config,
            active=self.active,
            run=Runs(
                layout=layout,
                clock=clock,
                chance=chance,
                config=lambda: self.uplink.config,
                identity=self.identity,
                workers=self.workers,
                base=lambda: self.service.base,
                log=self.log,
            ),
            ended=self._evaluated,
            **common,
        )
        self.publisher = Publisher(
            name=f"{self.name}/publish",
            chance=chance,
            service=self.service,
            identity=self.identity,
            busy=lambda: self.scheduler.busy,
            published=self._published,
            failed=self._failed,
            keys=layout.root / KEYS,
            limits=limits,
            **common,
        )
        shared: dict[str, Any] = {
            "contact": Contact(clock, chance, self.service, self.active),
            "service": self.service,
            "store": self.store,
            "log": self.log,
        }
        self.pulls = Pulls(name=f"{self.name}/pull", changed=self._pulled, **shared)
        self.outbox = Outbox(name=f"{self.name}/report", deleted=self._removed, **shared)
        self.retention = Retention(name=f"{self.name}/retention", purged=self._purged, **common)
        self.ipc = IpcServer(layout["gcad_socket"], self._methods(), self.log, clock, self.name)
        self._lock: TextIO | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take the store, pick up what an earlier gcad left, and begin to work.

        Raises:
            AgentError: 6, another gcad runs or a folder cannot be used.
        """
        self._take()
        try:
            await self._runner.open()
            self.store.load()
            self.retention.enforce()
            self._follow()
            self.scheduler.begin()
            await self.ipc.start()
        except OSError as error:
            await self.stop()
            raise AgentError(6, f"gcad cannot start: {error}") from error
        loops = (self.pulls, self.publisher, self.scheduler, self.outbox, self.retention)
        self._tasks = [asyncio.get_running_loop().create_task(loop.run()) for loop in loops]
        self.log.info("Guest configuration agent %s has started", AGENT_VERSION, extra=by(DISPATCHER))
        self.log.info("Created Assignment_Heartbeat timer", extra=by(DISPATCHER))

    async def stop(self) -> None:
        """Finish gracefully; everything that matters is on disk already."""
        await self.ipc.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.workers.stop()
        await self._runner.close()
        await self.identity.close()
        await self.uplink.close()
        if self._lock is not None:
            self.log.info("Guest configuration agent has stopped", extra=by(DISPATCHER))
            self._lock.close()
            self._lock = None

    def active(self) -> bool:
        """Whether there is anything to do: the machine is connected, and nobody has switched policies off."""
        config = self.uplink.config
        enabled = config.flag("guestconfiguration.enabled") and config.text("config.mode") != "monitor"
        return enabled and self.service.machine.connected

    # -- what the loops tell each other ----------------------------------------------------------------------

    def _pulled(self, changes: Changes) -> None:
        self.publisher.wake()
        self.retention.wake()
        self.outbox.reached()
        if changes.gone:
            self.scheduler.wake()
        if changes.gone or changes.fresh:
            self._compliance.update(self.store)

    def _published(self, _name: str) -> None:
        self.scheduler.wake()
        self._compliance.update(self.store)

    def _failed(self, assignment: Assignment, code: str, message: str) -> None:
        now = self.clock.now()
        job = new_guid(self._chance)
        document = reports.of_failure(assignment, code, message, job=job, now=now)
        told = reports.told(assignment, document, now)
        self.store.put(replace(told, status=assignment.status))
        self.outbox.wake()

    def _evaluated(self, _name: str) -> None:
        self.outbox.wake()
        if any(item.stale for item in self.store):
            self.publisher.wake()
        self._compliance.update(self.store)

    def _removed(self, _name: str) -> None:
        self.scheduler.wake()
        self._compliance.update(self.store)

    def _purged(self) -> None:
        self._removed("")

    # -- what himds and people say ---------------------------------------------------------------------------

    def _follow(self) -> None:
        """Go on as what the machine is now."""
        machine = self.identity.config()
        before, self.service.machine = self.service.machine, machine
        known = self.store.sync.vm_id
        if known and known != machine.vm_id:
            self._empty()
        if not self.active():
            self.pulls.end()
        elif before.vm_id != machine.vm_id or self.pulls.next is None:
            self.service.forget()
            self.pulls.begin(machine.vm_id)
        self._compliance.update(self.store)
        for loop in (self.scheduler, self.publisher, self.outbox, self.retention):
            loop.wake()

    def _empty(self) -> None:
        for item in self.store:
            text = "Assignment '%s' is deleted: the machine is not connected as it was"
            self.log.info(text, item.name, extra=by(DISPATCHER))
        self.store.clear()
        self.store.keep_sync(Sync())
        if isinstance(self.identity, Himds):
            self.identity.forget()

    def _methods(self) -> dict[str, Method]:
        async def reload(_parameters: dict[str, Any], _report: Report) -> dict[str, Any]:
            async with self.clock.task(f"{self.name}/reload"):
                await self.uplink.reload(LocalConfig.load(self.layout))
                await self._runner.follow(self.uplink.config)
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

    def status(self) -> dict[str, Any]:
        """What gcad knows now."""
        sync = self.store.sync
        return {
            "active": self.active(),
            "lastSync": sync.last,
            "purgedAt": sync.purged,
            "busy": self.scheduler.busy,
            "governance": self._runner.accounts(),
            "assignments": [
                {
                    "name": item.name,
                    "complianceStatus": "Pending" if item.initial else item.status,
                    "published": item.published is not None and not item.stale,
                    "due": item.due,
                    "reportWaits": item.report is not None,
                }
                for item in self.store
            ],
        }

    def _take(self) -> None:
        make_folder(self.layout["guest_config"])
        self._lock = take_lock(self.layout, "gcad")
