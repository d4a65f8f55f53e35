"""extd as a whole: what it is made of and what its loops tell each other.

Everything that differs between a machine, a bed and a test is a constructor argument.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Unpack

from arcbed_agent import exchange
from arcbed_agent.archives import ArchiveLimits
from arcbed_agent.cloud.gas import GasDirectory
from arcbed_agent.errors import AgentError
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
from arcbed_agent.gc_logs import by
from arcbed_agent.governor import Governor, Limits, announce, choose, retract, wishes
from arcbed_agent.himds.client import HimdsClient
from arcbed_agent.himds.ipc import IpcServer, Method, Report
from arcbed_agent.logging import Redactor

_PORT: Final = 40_342


class Extd(exchange.Daemon):
    """One machine's extension manager.

    When it stops, what handlers have started runs on, as it does when it is killed.

    Args:
        governor: limits handlers; None chooses as the local configuration says.
        limits: what packages may hold; None is what is documented.
        redactor: keeps secrets out of logs; share it with the log's formatter.
        given: see `exchange.Given`.

    Raises:
        AgentError: 70, the local configuration cannot be read; 23, a value in it cannot be used.
    """

    store: Store
    service: ExtensionService
    pulls: Pulls

    def __init__(
        self,
        *,
        governor: Governor | None = None,
        limits: ArchiveLimits | None = None,
        redactor: Redactor | None = None,
        **given: Unpack[exchange.Given],
    ) -> None:
        super().__init__("extd", "Extension manager", "gc_ext", by(MANAGER), **given)
        layout = self.layout
        self.redactor = redactor or Redactor()
        self._limits = limits
        self._governor = governor
        self.store = Store(layout, self.log)
        self.accounts = Accounts(layout, self.store, self._limits_now, self.log)
        self.vault = Vault(layout["extensions"])
        self.secrets = Secrets(layout, self.vault, self.redactor)
        self.service = ExtensionService(self.uplink, self.identity, GasDirectory(self.clock))
        shared: dict[str, Any] = {
            "contact": exchange.Contact(self.clock, self._chance, self.service, self.active),
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

    @property
    def operator(self) -> Operator:
        """What carries out operations.

        Raises:
            RuntimeError: extd has not been opened.
        """
        if self._operator is None:
            raise RuntimeError("extd has not been opened")
        return self._operator

    async def _open(self) -> None:
        self.store.load()
        await asyncio.to_thread(self.vault.open, self.clock.now())
        self.secrets.recall(self.store)
        self._operator = await self._make_operator()

    def _loops(self) -> Sequence[exchange.Loop]:
        return (self.pulls, self.operator, self.outbox)

    async def _make_operator(self) -> Operator:
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
                key=lambda: self.uplink.config.text("extd.catalogKey"),
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
            changed=self._ended,
            log=self.log,
        )

    async def _close(self) -> None:
        await self.accounts.settled()
        if self._lock is not None:
            retract(self.layout, "extd")

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
        if not self._tasks:
            return  # `azcmagent extension remove` looks at the record that is left
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

    async def _govern(self) -> None:
        await self.accounts.follow()

    def _forget(self) -> None:
        # Documented: after a new connection the old extensions are not recognised; they stay on disk.
        self.log.info("The machine is not connected as it was; extensions are forgotten", extra=by(MANAGER))
        self.store.clear()

    def _wake(self) -> None:
        self.outbox.wake()
        if self._operator is not None:
            self._operator.wake()

    def _methods(self) -> dict[str, Method]:
        async def end(_parameters: dict[str, Any], _report: Report) -> dict[str, Any]:
            await self.end_handlers()
            return {}

        return super()._methods() | {"end-handlers": end}

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
