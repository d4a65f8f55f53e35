"""Beds made of containers: a control plane, a resolver and machines on two networks of their own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arcbed.harness.containers import networks, reaper, watchdog
from arcbed.harness.containers.cloud import DockerCloud, at
from arcbed.harness.containers.engine import Engine
from arcbed.harness.containers.faults import Surroundings
from arcbed.harness.containers.machine import CA_FILE, CLOCK_TOKEN_FILE, DockerMachine
from arcbed.harness.containers.proxy import DockerProxy
from arcbed.harness.containers.systemd import CgroupPart
from arcbed.harness.contract import CloudOptions, ProxyKind
from arcbed.harness.errors import BedError

NO_METADATA_SERVICE = "127.0.0.1:1"
NOT_STARTED = "the bed has no control plane yet"


class DockerBackend:
    """Everything in containers of one bed, and a watchdog that takes them away if this process cannot.

    Args:
        folder: of this process, for what it has to know; nothing in it is mounted.
        engine: where; by default the one that `DOCKER_HOST` names, for a bed with a new id.
        systemd: is PID 1 of the machines, instead of a supervisor that stands in for it.
    """

    def __init__(self, folder: Path, engine: Engine | None = None, *, systemd: bool = False) -> None:
        self.engine = engine or Engine(secrets.token_hex(4))
        self._cgroups = CgroupPart(self.engine.bed) if systemd else None
        self._folder = folder
        self._watchdog: watchdog.Watchdog | None = None
        self._cloud: DockerCloud | None = None
        self._around: Surroundings | None = None
        self._names: set[str] = set()

    async def cloud(self, options: CloudOptions) -> DockerCloud:
        """Make the networks, start resolver and control plane, and return when they are ready.

        Raises:
            BedError: there is no engine, an image is missing, or there cannot be machines with systemd.
            NotReadyError: it does not become ready.
        """
        engine = self.engine
        await engine.do(lambda: engine.client)
        if self._cgroups:
            self._cgroups.make()
        folder = self._folder / "cloud"
        folder.mkdir(mode=0o700)
        self._watchdog = await asyncio.to_thread(watchdog.Watchdog, engine.bed, folder)
        azure, control = await asyncio.gather(
            engine.do(networks.make, engine, "azure", internal=True),
            engine.do(networks.make, engine, "control", internal=False),
        )
        self._cloud = cloud = DockerCloud(engine, folder, options, azure, control)
        self._around = Surroundings(
            azure=azure, control=control, cloud=cloud.address, resolver=control.address()
        )
        await asyncio.gather(cloud.create(), engine.do(self._start_resolver, self._around))
        await cloud.start()
        return cloud

    def settings(self, _env: Mapping[str, Any]) -> Mapping[str, Any]:
        """Endpoints need none: a machine finds Azure's host names by DNS and trusts the bed's authority.

        Whether it runs in a cloud it asks where nobody listens: the clouds' own address would swallow the
        question for a second in every command.
        """
        return {"host.imdsAddress": NO_METADATA_SERVICE}

    async def machine(
        self,
        name: str,
        config: Mapping[str, Any],
        environment: Mapping[str, str],
        *,
        bare: bool = False,
        cuttable: bool = False,  # noqa: ARG002 - every machine here has a network of its own
        by_name: bool = False,  # noqa: ARG002 - every machine here does
    ) -> DockerMachine:
        """Make a machine; it is not running yet.

        Raises:
            BedError: the bed has a machine of that name, or no control plane.
        """
        if name in self._names:
            raise BedError(f"the bed has a machine called {name} already")
        cloud, around = self._ready()
        self._names.add(name)
        machine = DockerMachine(self.engine, name, around, bare=bare, cgroups=self._cgroups)
        clock = {
            "clock.address": cloud.clock_address,
            "clock.machine": name,
            "clock.tokenFile": f"/{CLOCK_TOKEN_FILE}",
        }
        given = {CA_FILE: cloud.ca_certificate, CLOCK_TOKEN_FILE: cloud.clock_token}
        await machine.create(clock | dict(config), environment, given)
        return machine

    async def proxy(self, name: str, kind: ProxyKind) -> DockerProxy:
        """Start an HTTP proxy on the network of the machines and return when it is ready."""
        _, around = self._ready()
        proxy = DockerProxy(self.engine, name, kind, around)
        await proxy.start()
        return proxy

    async def close(self, *, keep: bool) -> None:
        """Take everything away, or leave it to `arcbed down` with `keep`; then the watchdog can go."""
        if self._watchdog is None:
            return
        if not keep:
            await asyncio.shield(self.engine.do(self._reap))
        await asyncio.to_thread(self._watchdog.dismiss)
        self._watchdog = None
        self.engine.close()

    def _reap(self) -> None:
        for _ in range(5):
            if not reaper.remove(self.engine.client, self.engine.bed):
                if self._cgroups:
                    self._cgroups.remove()
                return
        raise BedError(f"not everything of the bed {self.engine.bed} could be removed: arcbed down --all")

    def _ready(self) -> tuple[DockerCloud, Surroundings]:
        if self._cloud is None or self._around is None:
            raise BedError(NOT_STARTED)
        return self._cloud, self._around

    def _start_resolver(self, around: Surroundings) -> None:
        engine = self.engine
        resolver = engine.client.containers.create(
            engine.images.cloud,
            ["dns", "--address", around.cloud, "--host", around.resolver],
            entrypoint=["fakecloud"],
            name=engine.name("resolver"),
            hostname="resolver",
            labels=engine.labels("resolver"),
            network=around.control.name,
            networking_config=at(engine, around.control, around.resolver),
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
        )
        resolver.start()
