"""himds as a whole: what it is made of, how it starts and how it stops.

Everything that differs between a machine, a bed and a test is a constructor argument.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TextIO

import httpx

from arcbed_agent import AGENT_VERSION
from arcbed_agent.clock import Clock
from arcbed_agent.cloud.endpoints import Endpoints
from arcbed_agent.cloud.transport import Transport, new_guid
from arcbed_agent.config import LocalConfig
from arcbed_agent.detected import detected
from arcbed_agent.errors import AgentError
from arcbed_agent.files import make_folder
from arcbed_agent.himds.challenge import Challenges
from arcbed_agent.himds.control import Control
from arcbed_agent.himds.heartbeat import Heartbeat, ServiceStatuses
from arcbed_agent.himds.identity import Identity
from arcbed_agent.himds.imds import Imds, Machine
from arcbed_agent.himds.ipc import IpcServer
from arcbed_agent.himds.messages import Status
from arcbed_agent.himds.notifications import Dial, Notifications
from arcbed_agent.himds.peers import Peers
from arcbed_agent.himds.pulse import Pulse
from arcbed_agent.himds.registration import Registration
from arcbed_agent.himds.removal import Removal
from arcbed_agent.himds.renewal import Renewal
from arcbed_agent.himds.server import LocalServer
from arcbed_agent.himds.services import service_statuses
from arcbed_agent.himds.state import StateFile
from arcbed_agent.himds.tokens import MachineTokens
from arcbed_agent.himds.upgrades import Launch, Upgrades
from arcbed_agent.himds.uplink import Uplink
from arcbed_agent.host.contract import Host
from arcbed_agent.host.layout import Layout
from arcbed_agent.host.lock import take_lock
from arcbed_agent.logging import Redactor, fields


class Himds:
    """One machine's identity daemon. Construct and use it inside a running event loop.

    Args:
        layout: the machine's files.
        clock: the machine's time.
        host: what the machine is.
        config: the local configuration; None reads it.
        chance: source of ids, spreads and jitter.
        network: replaces the network (tests, in-process beds); None is TLS as the local configuration says.
        services: ARM's `serviceStatuses`; None looks at the machine.
        launch: starts a command that outlives himds; None is the system's way.
        dial: opens the notification channel; None is the network's way. If `network` is replaced and this is
            not, there is no channel.
        name: of the machine, in clock task names.
        log: where to write.
        redactor: told of secrets, so that they stay out of `log`.

    Raises:
        AgentError: 70, the local configuration cannot be read; 23, a value in it cannot be used.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        clock: Clock,
        host: Host,
        config: LocalConfig | None = None,
        chance: random.Random | None = None,
        network: Callable[[], httpx.AsyncBaseTransport] | None = None,
        services: ServiceStatuses | None = None,
        launch: Launch | None = None,
        dial: Dial | None = None,
        name: str = "machine",
        log: logging.Logger | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self.layout = layout
        self.clock = clock
        self.host = host
        self.log = log or logging.getLogger("himds")
        self.name = f"{name}/himds"
        chance = chance or random.SystemRandom()
        self.instance_id = new_guid(chance)

        def transport(config: LocalConfig) -> Transport:
            inner = network() if network else None
            return Transport(config, component="himds", instance=self.instance_id, chance=chance, inner=inner)

        local = LocalConfig.load(layout) if config is None else config
        self.uplink = Uplink(local, clock, transport)
        self.state = StateFile(layout)
        self.identity = Identity(layout)
        self.tokens = MachineTokens(self.uplink, self.identity, clock, chance)
        common: dict[str, Any] = {
            "clock": clock,
            "uplink": self.uplink,
            "identity": self.identity,
            "log": self.log,
        }
        self.heartbeat = Heartbeat(
            instance_id=self.instance_id,
            host=host,
            tokens=self.tokens,
            state=self.state,
            services=services or (lambda: service_statuses(locks=layout["sockets"])),
            upgrades=Upgrades(layout, clock, self.log, launch),
            detected=lambda: detected(layout),
            **common,
        )
        self.renewal = Renewal(chance=chance, tokens=self.tokens, **common)
        busy = asyncio.Lock()
        peers = Peers(layout, self.log)

        async def tell(word: str) -> None:
            if word == "reload" and self.notifications is not None:
                self.notifications.follow()
            await peers(word)

        self.pulse = Pulse(
            name=f"{self.name}/heartbeat",
            chance=chance,
            heartbeat=self.heartbeat,
            renewal=self.renewal,
            state=self.state,
            busy=busy,
            tell=tell,
            **common,
        )
        self.control = Control(
            name=self.name,
            instance_id=self.instance_id,
            layout=layout,
            chance=chance,
            state=self.state,
            registration=Registration(
                layout=layout,
                chance=chance,
                host=host,
                tokens=self.tokens,
                heartbeat=self.heartbeat,
                **common,
            ),
            removal=Removal(layout=layout, tokens=self.tokens, state=self.state, **common),
            pulse=self.pulse,
            busy=busy,
            redactor=redactor or Redactor(),
            tell=tell,
            **common,
        )
        self.notifications: Notifications | None = None
        if network is None or dial is not None:
            self.notifications = Notifications(
                name=self.name,
                instance_id=self.instance_id,
                clock=clock,
                chance=chance,
                uplink=self.uplink,
                tokens=self.tokens,
                config=lambda: self.control.config,
                tell=peers,
                beat=self.pulse.now,
                log=self.log,
                dial=dial,
            )
        self.challenges = Challenges(layout["tokens"])
        imds = Imds(
            name=f"{self.name}/local",
            clock=clock,
            machine=self._machine(),
            identity=self.identity,
            tokens=self.tokens,
            challenges=self.challenges,
            log=self.log,
        )
        self.server = LocalServer(imds.handle, self.log)
        self.ipc = IpcServer(layout["himds_socket"], self.control.methods(), self.log, clock, self.name)
        self._lock: TextIO | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take the machine, pick up what an earlier himds left, and begin to serve.

        Raises:
            AgentError: 6, another himds runs, the port is taken or a folder cannot be used; 70, 103, 104 or
                107, what is on disk cannot be used.
        """
        self._take()
        port = self.uplink.config.number("himds.port")
        try:
            self.challenges.open()
            await self.server.start(port)
            self.control.port = self.server.port
            self.control.recover()
            await self.ipc.start()
        except OSError as error:
            await self.stop()
            raise AgentError(6, _unstartable(error, port)) from error
        except BaseException:
            await self.stop()
            raise
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self.pulse.run()), loop.create_task(self._detect_cloud())]
        if self.notifications is not None:
            self._tasks.append(loop.create_task(self.notifications.run()))
        self.log.info("himds has started", extra=fields(Version=AGENT_VERSION, Port=self.server.port))

    async def stop(self) -> None:
        """Finish gracefully; everything that matters is on disk already."""
        await self.ipc.stop()
        await self.control.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.server.stop()
        self.challenges.close()
        await self.uplink.close()
        if self._lock is not None:
            self.log.info("himds has stopped")
            self._lock.close()
            self._lock = None

    def status(self) -> Status:
        """What himds knows now."""
        return self.control.status()

    def _take(self) -> None:
        make_folder(self.layout["home"])
        self._lock = take_lock(self.layout, "himds", where=self.layout["home"])

    async def _detect_cloud(self) -> None:
        """Once for each start (agent 1.23)."""
        async with self.clock.task(f"{self.name}/cloud"):
            with suppress(AgentError, OSError):
                self.control.cloud_provider = (await asyncio.to_thread(self.host.cloud)).provider

    def _machine(self) -> Machine:
        async def metadata() -> Mapping[str, Any]:
            return await asyncio.to_thread(self.host.metadata)

        async def endpoints(cloud: str) -> Endpoints:
            return await self.uplink.directory.endpoints(cloud)

        def status() -> Mapping[str, Any]:
            document = self.status().to_json()
            return {_camel(key): value for key, value in document.items() if key not in {"pid", "port"}}

        return Machine(
            config=lambda: self.control.config,
            metadata=metadata,
            tags=lambda: self.state.value.tags,
            endpoints=endpoints,
            status=status,
        )


def _unstartable(error: OSError, port: int) -> str:
    """Why himds cannot start; of a taken port which one, and the way out."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} is in use. Stop what listens there, or choose another port: "
            "azcmagent config set himds.port 0 takes a free one"
        )
    return f"himds cannot start: {error}"


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.title() for part in tail)
