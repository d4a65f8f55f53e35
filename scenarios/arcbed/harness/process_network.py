"""What processes of a bed have for a network: HTTP proxies on loopback, and lines that can be cut.

The machines share this computer's network, which a bed must leave alone. A machine whose way to the cloud is
to be cut reaches it through a proxy of its own: without it, every attempt is refused at once, as where routes
lead nowhere. Through such a proxy a machine can also go by Azure's host names, and some can be forbidden. The
clock's line and the local endpoint do not go that way.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from arcbed.harness.contract import Block, Cut, ProxyHost, ProxyKind
from arcbed.harness.errors import NotCoveredError
from arcbed.harness.process import Child
from arcbed.harness.programs import environment, wait_ready

RELAY = Path(__file__).with_name("relay.py")
_READY = "listening on "


class ProcessProxy:
    """An HTTP proxy as a child process on loopback.

    Args:
        name: of the process.
        kind: where it connects to.
        log: gets a line for each request.
        to: ``ADDRESS:PORT`` that all names lead to; empty leaves them as they are.
    """

    def __init__(self, name: str, kind: ProxyKind, log: Path, *, to: str = "") -> None:
        self.url = ""
        self._name = name
        self._kind = kind
        self._log = log
        self._to = to
        self._port = "0"
        self._starts = 0
        self._child: Child | None = None

    @property
    def knows_names(self) -> bool:
        """Whether clients come with Azure's host names."""
        return bool(self._to)

    async def start(self, *, milliseconds: int = 0, refused: str = "") -> None:
        """Start it, on the same port as before if there was a before, and return when it listens.

        Args:
            milliseconds: more for every round trip through it.
            refused: a host that it does not connect to; ``*.`` at its start stands for everything below it.
        """
        command = [
            sys.executable,
            "-I",
            "-S",
            str(RELAY),
            "proxy",
            "--kind",
            self._kind,
            "--milliseconds",
            str(milliseconds),
            *(("--to", self._to) if self._to else ()),
            *(("--refuse", refused) if refused else ()),
            "127.0.0.1",
            self._port,
        ]
        self._child = child = Child(self._name, command, env=environment(), log=self._log)
        self._starts += 1
        await child.start()
        await wait_ready(child, self._listens)

    async def _listens(self) -> bool:
        said = [line for line in self._lines() if line.startswith(_READY)]
        if len(said) < self._starts:
            return False
        self._port = said[-1].removeprefix(_READY)
        self.url = f"http://127.0.0.1:{self._port}"
        return True

    def requests(self) -> list[str]:
        """What it was asked for so far, ``CONNECT host:443 200``."""
        return [line for line in self._lines() if not line.startswith(_READY)]

    def _lines(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []

    async def stop(self) -> None:
        """Stop it, and with it every connection that goes through it."""
        child, self._child = self._child, None
        if child is not None:
            await child.kill()


class ProcessNetwork:
    """The way of one machine to the clouds.

    Args:
        line: the proxy that it goes through.
        lacks: why there is no more than that.
    """

    def __init__(self, line: ProcessProxy, lacks: str) -> None:
        self._line = line
        self._lacks = lacks

    @asynccontextmanager
    async def cut_off(self, kind: Cut) -> AsyncIterator[None]:
        """The machine cannot reach Azure; attempts fail at once.

        Raises:
            NotCoveredError: another kind of cut.
        """
        if kind != "unreachable":
            raise NotCoveredError(self._lacks)
        await self._line.stop()
        try:
            yield
        finally:
            await self._line.start()

    @asynccontextmanager
    async def blocked(self, host: str, how: Block) -> AsyncIterator[None]:
        """The proxy answers 403 to whoever wants to `host`; open connections are lost.

        Raises:
            NotCoveredError: the machine does not go by Azure's host names, or swallowing was asked for.
        """
        if not self._line.knows_names or how != "reset":
            raise NotCoveredError(f"{self._lacks} ({how} of {host})")
        await self._line.stop()
        await self._line.start(refused=host)
        try:
            yield
        finally:
            await self._line.stop()
            await self._line.start()

    @asynccontextmanager
    async def latency(self, milliseconds: int) -> AsyncIterator[None]:
        """Every round trip to the clouds takes so much longer; open connections are lost at both ends."""
        await self._line.stop()
        await self._line.start(milliseconds=milliseconds)
        try:
            yield
        finally:
            await self._line.stop()
            await self._line.start()

    def loss(self, percent: int) -> AbstractAsyncContextManager[None]:
        """Not here."""
        raise NotCoveredError(f"{self._lacks} ({percent} % of packets lost)")

    def proxy_only(self, proxy: ProxyHost) -> AbstractAsyncContextManager[None]:
        """Not here."""
        raise NotCoveredError(f"{self._lacks} (only {proxy.url})")

    def https_only(self) -> AbstractAsyncContextManager[None]:
        """Not here."""
        raise NotCoveredError(self._lacks)
