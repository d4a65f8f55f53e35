"""The control plane of a bed as a container: on `azure` for machines, on `control` for the testbed."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docker.errors import DockerException

from arcbed.harness import clock
from arcbed.harness.admin import Admin
from arcbed.harness.containers import shell
from arcbed.harness.containers.engine import Engine
from arcbed.harness.containers.files import ContainerPath
from arcbed.harness.containers.networks import Network
from arcbed.harness.contract import CloudOptions
from arcbed.harness.errors import BedError, NotReadyError, ProcessDiedError

READY_SECONDS = 60.0
STOP_SECONDS = 15
STATE = "/state"
HTTPS_PORT = 443
ADMIN_PORT = 8444
CLOCK_PORT = 8445
CLOCK_TOKEN = "clock.token"
LOOPBACK = "127.0.0.1"
URLS = ("armEndpoint", "authority", "graphEndpoint")


class DockerCloud:
    """`fakecloud serve` in a container.

    Machines reach it under Azure's host names. This process reaches ARM, Entra and the admin API through
    ports that are published on 127.0.0.1 only.

    Args:
        engine: where.
        folder: of this process, for the CA's certificate and the admin API's token.
        options: of ``fakecloud serve``.
        azure: the network of the machines.
        control: the network of the testbed.
    """

    def __init__(
        self, engine: Engine, folder: Path, options: CloudOptions, azure: Network, control: Network
    ) -> None:
        self.address = azure.address()
        self.env: Mapping[str, Any] = {}
        self._engine = engine
        self._folder = folder
        self._options = options
        self._azure = azure
        self._control = control
        self._admin_address = control.address()
        self._ports = {port: _free_port() for port in (HTTPS_PORT, ADMIN_PORT, CLOCK_PORT)}
        self._container = engine.name("fakecloud")
        self._wanted = False

    async def create(self) -> None:
        """Make its volume and its container; it is not running yet."""
        await self._engine.do(self._create)

    async def start(self) -> None:
        """Start it, on the same state and ports as before if there was a before, and return when it is ready.

        Raises:
            NotReadyError: it does not become ready.
            ProcessDiedError: it ends at once.
        """
        await self._engine.do(self._start)
        self._wanted = True
        if await clock.until(self._ready, limit=READY_SECONDS) is None:
            raise NotReadyError(f"fakecloud was not ready within {READY_SECONDS:g} s\n{self._tail()}")
        self.env = await self._engine.do(self._describe)

    async def stop(self) -> None:
        """Stop it, keep its state."""
        self._wanted = False
        await self._engine.do(lambda: self._engine.container(self._container).stop(timeout=STOP_SECONDS))

    async def kill(self) -> None:
        """End it without a word."""
        self._wanted = False
        await self._engine.do(lambda: self._engine.container(self._container).kill())

    @property
    def admin(self) -> Admin:
        """The testbed's own API of it."""
        return Admin(self._folder, f"http://{LOOPBACK}:{self._ports[ADMIN_PORT]}")

    @property
    def clock(self) -> Mapping[str, str]:
        """The clock's published port."""
        return {
            "clock.address": f"{LOOPBACK}:{self._ports[CLOCK_PORT]}",
            "clock.tokenFile": str(self._folder / CLOCK_TOKEN),
        }

    @property
    def clock_address(self) -> str:
        """The clock's channel on the control network."""
        return f"{self._admin_address}:{CLOCK_PORT}"

    @property
    def clock_token(self) -> str:
        """What processes of machines show to the clock."""
        return (self._folder / CLOCK_TOKEN).read_text()

    @property
    def ca_certificate(self) -> str:
        """The certificate of the bed's authority, in PEM."""
        return (self._folder / "ca.pem").read_text()

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            ProcessDiedError: it ended by itself.
        """
        if self._wanted:
            check(self._engine, self._container, "fakecloud")

    def logs(self) -> Mapping[str, str]:
        """What it printed."""
        return {"fakecloud.log": printed(self._engine, self._container)}

    # -- in threads ----------------------------------------------------------------------------------------

    def _create(self) -> None:
        client, engine = self._engine.client, self._engine
        for path in ("state", "shared"):
            client.volumes.create(engine.name(path), labels=engine.labels(path))
        container = client.containers.create(
            engine.images.cloud,
            self._arguments(),
            name=self._container,
            hostname="fakecloud",
            entrypoint=["fakecloud"],
            labels=engine.labels("fakecloud"),
            volumes=[f"{engine.name('state')}:{STATE}", f"{engine.name('shared')}:/shared"],
            ports={f"{port}/tcp": (LOOPBACK, published) for port, published in self._ports.items()},
            network=self._control.name,
            networking_config=at(engine, self._control, self._admin_address),
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
        )
        client.networks.get(self._azure.id).connect(container, ipv4_address=self.address)

    def _arguments(self) -> list[str]:
        return [
            *("serve", "--state", STATE),
            *("--host", "0.0.0.0", "--allow-remote", "--port", str(HTTPS_PORT)),
            *("--admin-host", self._admin_address, "--admin-port", str(ADMIN_PORT)),
            *("--clock-port", str(CLOCK_PORT)),
            *self._options.flags(),
        ]

    def _start(self) -> None:
        self._engine.container(self._container).start()

    async def _ready(self) -> bool | None:
        self.check()
        return (await self.admin.ready()) or None

    def _describe(self) -> Mapping[str, Any]:
        """What ``fakecloud env --json`` says, with addresses and files as this process finds them."""
        command = ["fakecloud", "env", "--state", STATE, "--json"]
        listing = shell.execute(self._engine, self._container, command, limit=30, user="")
        if listing.exit_code:
            raise BedError(f"fakecloud env failed\n{listing.output}")
        found: dict[str, Any] = json.loads(listing.stdout)
        for name, mode in (("ca.pem", 0o644), ("admin.token", 0o600), (CLOCK_TOKEN, 0o600)):
            target = self._folder / name
            target.touch(mode)
            target.write_text(ContainerPath(self._engine, self._container, f"{STATE}/{name}").read_text())
        here = f"https://localhost:{self._ports[HTTPS_PORT]}"
        urls = {key: here + found[key].removeprefix(found["armEndpoint"]) for key in URLS if key in found}
        return {**found, **urls, "caFile": str(self._folder / "ca.pem")}

    def _tail(self) -> str:
        return printed(self._engine, self._container, lines=20)


def at(engine: Engine, network: Network, address: str) -> dict[str, Any]:
    """The first network of a container that is to be made, with its address there."""
    return {network.name: engine.client.api.create_endpoint_config(ipv4_address=address)}


def check(engine: Engine, container: str, name: str) -> None:
    """Make sure that a container runs.

    Raises:
        ProcessDiedError: it does not; the message carries the end of its log.
    """
    try:
        state = engine.container(container).attrs["State"]
    except DockerException as error:
        raise ProcessDiedError(f"{name} is gone: {error}") from error
    if not state["Running"]:
        code = state["ExitCode"]
        raise ProcessDiedError(
            f"{name} ended with exit code {code}\n{printed(engine, container, lines=20)}".rstrip()
        )


def printed(engine: Engine, container: str, *, lines: int | None = None) -> str:
    """What a container printed, or the end of it; empty when it is gone."""
    try:
        written: bytes = engine.container(container).logs(tail=lines or "all")
    except DockerException:
        return ""
    return written.decode(errors="replace")


def _free_port() -> int:
    """A port of loopback that is free now; the engine is told which, so that a restart keeps it."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
