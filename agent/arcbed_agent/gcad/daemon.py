"""gcad as a whole: what it is made of and what its loops tell each other.

Everything that differs between a machine, a bed and a test is a constructor argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

from arcbed_agent import exchange
from arcbed_agent.cloud.gas import GasDirectory
from arcbed_agent.cloud.transport import new_guid
from arcbed_agent.gc_logs import DISPATCHER, by
from arcbed_agent.gcad import reports
from arcbed_agent.gcad.compliance import ComplianceFile
from arcbed_agent.gcad.outbox import Outbox
from arcbed_agent.gcad.package import Limits
from arcbed_agent.gcad.publisher import Publisher
from arcbed_agent.gcad.pulls import Pulls
from arcbed_agent.gcad.records import Assignment, Changes, Sync
from arcbed_agent.gcad.retention import Retention
from arcbed_agent.gcad.runs import Runs
from arcbed_agent.gcad.scheduler import Scheduler
from arcbed_agent.gcad.service import PolicyService
from arcbed_agent.gcad.signature import KEYS
from arcbed_agent.gcad.store import Store
from arcbed_agent.gcad.workers import PlainProcesses, ProcessRunner, Workers
from arcbed_agent.himds.ipc import IpcServer


class Gcad(exchange.Daemon):
    """One machine's guest configuration agent.

    Args:
        runner: starts the worker; None starts it without any limit.
        limits: what packages may hold; None is what is documented.
        given: see `exchange.Given`.

    Raises:
        AgentError: 70, the local configuration cannot be read; 23, a value in it cannot be used.
    """

    store: Store
    service: PolicyService

    def __init__(
        self,
        *,
        runner: ProcessRunner | None = None,
        limits: Limits | None = None,
        **given: Unpack[exchange.Given],
    ) -> None:
        super().__init__("gcad", "Guest configuration agent", "gc_agent", by(DISPATCHER), **given)
        layout, clock, chance = self.layout, self.clock, self._chance
        self.store = Store(layout)
        self.service = PolicyService(self.uplink, self.identity, GasDirectory(clock))
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
            "contact": exchange.Contact(clock, chance, self.service, self.active),
            "service": self.service,
            "store": self.store,
            "log": self.log,
        }
        self.pulls = Pulls(name=f"{self.name}/pull", changed=self._pulled, **shared)
        self.outbox = Outbox(name=f"{self.name}/report", deleted=self._removed, **shared)
        self.retention = Retention(name=f"{self.name}/retention", purged=self._purged, **common)
        self.ipc = IpcServer(layout["gcad_socket"], self._methods(), self.log, clock, self.name)

    async def start(self) -> None:
        """Take the store, pick up what an earlier gcad left, and begin to work; see `exchange.Daemon`."""
        await super().start()
        self.log.info("Created Assignment_Heartbeat timer", extra=by(DISPATCHER))

    async def _open(self) -> None:
        await self._runner.open()
        self.store.load()
        self.retention.enforce()

    def _loops(self) -> Sequence[exchange.Loop]:
        self.scheduler.begin()
        return (self.pulls, self.publisher, self.scheduler, self.outbox, self.retention)

    async def _close(self) -> None:
        await self.workers.stop()
        await self._runner.close()

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

    async def _govern(self) -> None:
        await self._runner.follow(self.uplink.config)

    def _wake(self) -> None:
        self._compliance.update(self.store)
        for loop in (self.scheduler, self.publisher, self.outbox, self.retention):
            loop.wake()

    def _forget(self) -> None:
        for item in self.store:
            text = "Assignment '%s' is deleted: the machine is not connected as it was"
            self.log.info(text, item.name, extra=by(DISPATCHER))
        self.store.clear()
        self.store.keep_sync(Sync())

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
