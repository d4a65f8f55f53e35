"""An HTTP proxy of a bed as a container on the network of the machines."""

from __future__ import annotations

from contextlib import suppress

from arcbed.harness import clock
from arcbed.harness.containers import files
from arcbed.harness.containers.cloud import at, check, printed
from arcbed.harness.containers.engine import Engine
from arcbed.harness.containers.faults import Surroundings
from arcbed.harness.containers.tools import RELAY
from arcbed.harness.contract import ProxyKind
from arcbed.harness.errors import BedError, NotReadyError

PORT = 3128
READY_SECONDS = 30.0
NOBODY = "65534:65534"


class DockerProxy:
    """A proxy that machines find at an address of its own; names it looks up itself."""

    def __init__(self, engine: Engine, name: str, kind: ProxyKind, around: Surroundings) -> None:
        self.address = around.azure.address()
        self.url = f"http://{self.address}:{PORT}"
        self._engine = engine
        self._kind = kind
        self._around = around
        self._container = engine.name(name)

    async def start(self) -> None:
        """Start it and return when it listens.

        Raises:
            NotReadyError: it does not.
        """
        await self._engine.do(self._create)

        async def listens() -> bool | None:
            check(self._engine, self._container, "the proxy")
            return bool(printed(self._engine, self._container)) or None

        if await clock.until(listens, limit=READY_SECONDS) is None:
            raise NotReadyError(f"the proxy did not listen within {READY_SECONDS:g} s")

    def requests(self) -> list[str]:
        """What it was asked for so far, ``CONNECT host:443 200``."""
        return printed(self._engine, self._container).splitlines()[1:]

    async def stop(self) -> None:
        """Stop it."""
        with suppress(BedError):
            await self._engine.do(lambda: self._engine.container(self._container).kill())

    def _create(self) -> None:
        engine, around = self._engine, self._around
        proxy = engine.client.containers.create(
            engine.images.tools,
            ["-I", "-S", "-u", "/relay.py", "proxy", "--kind", self._kind, "0.0.0.0", str(PORT)],
            entrypoint=["python3"],
            user=NOBODY,
            name=self._container,
            hostname="proxy",
            labels=engine.labels("proxy"),
            dns=[around.resolver],
            network=around.control.name,
            networking_config=at(engine, around.control, around.control.address()),
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            init=True,
        )
        files.put(engine, self._container, "/", [files.regular("relay.py", RELAY.read_bytes())])
        engine.client.networks.get(around.azure.id).connect(proxy, ipv4_address=self.address)
        proxy.start()
