"""What this machine is in Azure, and the orders that change it, one at a time."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from arcbed_agent import AGENT_VERSION
from arcbed_agent.clock import Clock
from arcbed_agent.cloud.proxies import proxy_in_effect
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.config import AgentConfig, LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.files import sweep
from arcbed_agent.himds.backoff import GONE, HEARTBEAT, machine_is_gone
from arcbed_agent.himds.identity import Identity
from arcbed_agent.himds.ipc import Method, Report
from arcbed_agent.himds.journal import CREATED, Journal, read_journal, remove_journal
from arcbed_agent.himds.messages import ConnectParameters, Progress, Status
from arcbed_agent.himds.peers import Tell
from arcbed_agent.himds.pulse import Pulse
from arcbed_agent.himds.registration import Registration
from arcbed_agent.himds.removal import Removal
from arcbed_agent.himds.state import StateFile, rfc3339
from arcbed_agent.himds.uplink import Uplink
from arcbed_agent.host.layout import Layout
from arcbed_agent.logging import Redactor, fields

#: Failed heartbeats in a row after which the machine counts as disconnected (``docs/wire.md`` section 15.2).
LOST: Final = 3


class Control:
    """Connects, disconnects, resumes and tells.

    Args:
        name: ``machine/himds``, for clock tasks.
        instance_id: GUID of this start.
        busy: held during a change; the heartbeat loop leaves the machine alone meanwhile.
        redactor: told of tokens, so that they stay out of the log.
        tell: says to the other daemons that the machine has changed.
    """

    def __init__(
        self,
        *,
        name: str,
        instance_id: str,
        layout: Layout,
        clock: Clock,
        chance: random.Random,
        uplink: Uplink,
        identity: Identity,
        state: StateFile,
        registration: Registration,
        removal: Removal,
        pulse: Pulse,
        busy: asyncio.Lock,
        redactor: Redactor,
        tell: Tell,
        log: logging.Logger,
    ) -> None:
        self._name = name
        self._instance_id = instance_id
        self._layout = layout
        self._clock = clock
        self._chance = chance
        self._uplink = uplink
        self._identity = identity
        self._state = state
        self._registration = registration
        self._removal = removal
        self._pulse = pulse
        self._busy = busy
        self._redactor = redactor
        self._tell = tell
        self._log = log
        self._changing = ""
        self._resuming: asyncio.Task[None] | None = None
        self.config = AgentConfig()
        self.cloud_provider = ""
        self.port = 0

    # -- start -----------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Go on from what is on disk: beat, finish a registration that ARM has acknowledged, or clean up.

        Raises:
            AgentError: 70, 103, 104 or 107, what is there cannot be used.
        """
        for folder in (self._layout["home"], self._layout["certificates"]):
            sweep(folder)
        self.config = AgentConfig.load(self._layout)
        self.config.save(self._layout)
        journal = read_journal(self._layout)
        if not self.config.connected and journal is None:
            self._identity.forget()
            self._state.forget()
            return
        self._identity.load()
        self._state.load()
        if self.config.connected:
            remove_journal(self._layout)
            self._pulse.begin(self.config)
        elif journal and journal.stage == CREATED and self._identity.key:
            self._resuming = asyncio.get_running_loop().create_task(self._resume(journal))

    async def stop(self) -> None:
        """Stop resuming; it goes on at the next start."""
        if self._resuming is not None:
            self._resuming.cancel()
            await asyncio.gather(self._resuming, return_exceptions=True)
            self._resuming = None

    async def _resume(self, journal: Journal) -> None:
        """Finish a registration without anybody's token, for as long as it takes."""
        failures = 0
        names = {"Resource ID": journal.target.resource_id}
        async with self._clock.task(f"{self._name}/resume") as task:
            while True:
                self._log.info("Going on with an unfinished connect", extra=fields(names))
                try:
                    async with self._busy:
                        self._connected(await self._registration.resume(journal, task))
                    return await self._tell("reload")
                except (AgentError, CloudError, UnreachableError, OSError) as error:
                    gone = machine_is_gone(error.__cause__ or error)
                    wait = (GONE if gone else HEARTBEAT).delay(failures, self._chance)
                    self._log.error("The connect is still unfinished", extra=fields(names, Error=error))
                failures += 1
                await task.sleep(wait)

    def _connected(self, config: AgentConfig) -> None:
        self.config = config
        self._pulse.begin(config, beaten=True)
        names = {"Resource ID": config.resource_id, "VM Id": config.vm_id}
        self._log.info("Connected machine to Azure", extra=fields(names))

    # -- orders ----------------------------------------------------------------------------------------------

    async def connect(self, parameters: ConnectParameters, report: Report) -> Status:
        """Register this machine.

        Raises:
            AgentError: 67, it is connected; 27, another change is going on; else see `Registration.connect`.
        """
        self._redactor.conceal(parameters.access_token)
        if self.config.connected:
            raise AgentError(67, f"the machine is already connected as {self.config.resource_id}")
        with self._change("connect"):
            await self.stop()
            async with self._clock.task(f"{self._name}/connect") as task, self._busy:
                self._log.info("Connecting", extra=fields({"Correlation ID": parameters.correlation_id}))
                try:
                    self._connected(await self._registration.connect(parameters, report, task))
                except AgentError as error:
                    self._log.error("Machine was not connected", extra=fields(Error=error))
                    raise
                await self._tell("reload")
        return self.status()

    async def disconnect(
        self, access_token: str | None, report: Report, *, force_local_only: bool = False
    ) -> Status:
        """Delete the machine in Azure, unless `force_local_only`, and forget it here.

        Raises:
            AgentError: 43 or 63, see `Removal`; 27, another change is going on; 12, there is no token.
        """
        self._redactor.conceal(access_token or "")
        with self._change("disconnect"):
            await self.stop()
            async with self._clock.task(f"{self._name}/disconnect") as task, self._busy:
                target = self._target()
                if target.connected and not force_local_only:
                    if not access_token:
                        raise AgentError(12, "an access token is needed to delete the machine in Azure")
                    await self._removal.delete(target, access_token, report, task)
                self._pulse.end()
                self._removal.forget()
                self.config = AgentConfig()
                await self._tell("reload")
        await report(Progress(100, "Disconnected machine from Azure"))
        return self.status()

    async def reload(self) -> None:
        """Read `localconfig.json` again.

        Raises:
            AgentError: 70 or 23; the configuration stays what it was.
        """
        await self._uplink.reload(LocalConfig.load(self._layout))
        self._pulse.repace()
        await self._tell("reload")
        self._log.info("Local configuration was read")

    def status(self) -> Status:
        """What himds knows now."""
        config, state, local = self.config, self._state.value, self._uplink.config
        not_after = self._identity.not_after if config.connected else None
        return Status(
            status=self._word(),
            registration=self._registration_word(),
            resource_name=config.resource_name,
            resource_group=config.resource_group,
            subscription_id=config.subscription_id,
            tenant_id=config.tenant_id,
            resource_id=config.resource_id,
            location=config.location,
            cloud=config.cloud,
            vm_id=config.vm_id,
            correlation_id=config.correlation_id,
            identity_key_store=config.identity_key_store,
            agent_version=AGENT_VERSION,
            last_heartbeat=state.last_heartbeat,
            error_code=state.error_code,
            error_details=state.error_details,
            error_timestamp=state.error_timestamp,
            certificate_thumbprint=self._identity.thumbprint if config.connected else "",
            certificate_not_after=rfc3339(not_after) if not_after else "",
            https_proxy=proxy_in_effect(local),
            proxy_bypass=list(local.items("proxy.bypass")),
            cloud_provider=self.cloud_provider,
            port=self.port,
            pid=os.getpid(),
            instance_id=self._instance_id,
        )

    def methods(self) -> dict[str, Method]:
        """The orders as azcmagent sends them."""

        async def status(_parameters: dict[str, Any], _report: Report) -> dict[str, Any]:
            return self.status().to_json()

        async def connect(parameters: dict[str, Any], report: Report) -> dict[str, Any]:
            return (await self.connect(ConnectParameters.from_json(parameters), report)).to_json()

        async def disconnect(parameters: dict[str, Any], report: Report) -> dict[str, Any]:
            token, local = parameters.get("access_token"), parameters.get("force_local_only") is True
            return (await self.disconnect(token, report, force_local_only=local)).to_json()

        async def reload(_parameters: dict[str, Any], _report: Report) -> dict[str, Any]:
            await self.reload()
            return {}

        return {"status": status, "connect": connect, "disconnect": disconnect, "reload": reload}

    # -- internals -------------------------------------------------------------------------------------------

    @contextmanager
    def _change(self, what: str) -> Iterator[None]:
        if self._changing:
            raise AgentError(27, f"a {self._changing} is going on", advice="Wait until it has ended.")
        self._changing = what
        try:
            yield
        finally:
            self._changing = ""

    def _target(self) -> AgentConfig:
        """The machine to delete; also one that ARM may know although `connect` was not completed."""
        journal = None
        if not self.config.connected:
            with suppress(AgentError):
                journal = read_journal(self._layout)
        return journal.target if journal else self.config

    def _word(self) -> str:
        if self.config.connected and self._identity.expired(self._clock.now()):
            return "Expired"
        lost = not self.config.connected or self._state.value.failures >= LOST
        return "Disconnected" if lost else "Connected"

    def _registration_word(self) -> str:
        if self.config.connected:
            return "connected"
        resuming = self._resuming is not None and not self._resuming.done()
        return "connecting" if resuming or self._changing == "connect" else "none"
