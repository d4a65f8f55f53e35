"""The listeners: one for clients over TLS, one for the testbed's own API.

A state folder belongs to one process at a time. ``fakecloud.json`` names process and addresses, and is there
only while calls are answered.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from arcbed_cloud import hosts
from arcbed_cloud.app import Cloud, build
from arcbed_cloud.clock import listening as clock_listening
from arcbed_cloud.delivery import Deliveries
from arcbed_cloud.dispatch import App
from arcbed_cloud.folder import Running, held
from arcbed_cloud.handover import hand_over
from arcbed_cloud.settings import Settings

# Azure's own front ends keep idle connections for some minutes; agents call every five.
KEEP_ALIVE_SECONDS = 330
GRACE_SECONDS = 5
STOP_POLL_SECONDS = 0.02
BACKLOG = 2048


class ServeError(RuntimeError):
    """The control plane cannot start; the message says what to do."""


async def serve(settings: Settings, announce: Callable[[Cloud, Running], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        settings: what to serve.
        announce: called once calls are answered.

    Raises:
        ServeError: the port is taken, or the bind is not allowed.
        InUseError: another process holds the state.
        TrustError, SecretsError: see `build`.
    """
    _check_bind(settings)
    # The database and its journal are nobody else's business, whatever the folder's own mode is.
    os.umask(0o077)
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (
        held(settings.state),
        _public_socket(settings) as public,
        _admin_sockets(settings) as admin,
        _clock_sockets(settings) as clock,
    ):
        cloud = build(settings)
        context = cloud.plane.authority.server_context() if settings.tls else None
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await cloud.startup()
        _settle_memory()
        try:
            async with (
                _listening(cloud.asgi, [public], context),
                _listening(cloud.admin, admin, None),
                clock_listening(cloud.channel, clock),
            ):
                running = _running(settings, public, admin, clock)
                if settings.share is not None:
                    hand_over(settings.share, cloud.plane.authority.ca_file, cloud.estate, cloud.clock_token)
                running.write(settings.state)
                announce(cloud, running)
                await stop.wait()
                cloud.bed.ready = False
                Running.forget(settings.state)
        finally:
            Running.forget(settings.state)
            await cloud.shutdown()


def _settle_memory() -> None:
    """What stands by now stays; with hundreds of requests under way, few new objects are garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


# -- listeners
# -------------------------------------------------------------------------------------------------


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, which forgets a connection that was reset as soon as one that was closed.

    It would otherwise keep its timer, and with it the buffers of its last answer, for `KEEP_ALIVE_SECONDS`.
    """

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals to us, and that idle clients do not keep from stopping."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def _wait_tasks_to_complete(self) -> None:
        """Wait until every answer has arrived, and no longer; uvicorn ends the wait after the grace.

        By now the connections have been told to close. One over TLS then waits for its peer to agree, which a
        client that keeps it idle never does.
        """
        connections: Any = self.server_state.connections
        deliveries = Deliveries()
        while connections:
            for connection in list(connections):
                cycle = getattr(connection, "cycle", None)  # a WebSocket has none
                answered = cycle is None or cycle.response_complete
                if answered and deliveries.done(connection.transport):
                    connection.transport.abort()
            await _turn(after=STOP_POLL_SECONDS)
        await super()._wait_tasks_to_complete()


class _listening:  # noqa: N801 - reads as a statement
    """Serve `app` on a bound socket for as long as the block lasts."""

    def __init__(self, app: App, listeners: list[socket.socket], context: ssl.SSLContext | None) -> None:
        factory: Any = (lambda _config, _default: context) if context else None
        config = uvicorn.Config(
            app,
            http=_Protocol,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            # Machines keep their channels alive themselves, and their messages are too short to compress.
            ws="websockets-sansio",
            ws_ping_interval=None,
            ws_per_message_deflate=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ssl_context_factory=factory,
        )
        self._server = _Server(config)
        self._listeners = listeners
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._server.serve(self._listeners))
        # uvicorn sets a flag and no event; the socket accepts from the moment it is bound, so nothing is
        # lost.
        while not self._server.started and not self._task.done():
            await _turn()
        if self._task.done():
            await self._task
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task


async def _turn(*, after: float = 0.0) -> None:
    """One turn of the event loop, or the first one `after` so many seconds."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    loop.call_later(after, done.set_result, None)
    await done


# -- sockets
# ---------------------------------------------------------------------------------------------------


def _check_bind(settings: Settings) -> None:
    if settings.allow_remote or hosts.is_loopback(settings.host):
        return
    raise ServeError(
        f"Refusing to listen on {settings.host}: everyone who reaches this machine could use the control "
        "plane. Add --allow-remote if that is what you want."
    )


@contextmanager
def _public_socket(settings: Settings) -> Iterator[socket.socket]:
    listener = tcp(settings.host, settings.port)
    try:
        yield listener
    finally:
        listener.close()


def tcp(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        ServeError: the port is taken or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ServeError(
            f"Cannot listen on {host}:{port}: {(error.strerror or str(error)).lower()}. "
            "Choose another port with --port (0 takes a free one)."
        ) from error
    return listener


@contextmanager
def _admin_sockets(settings: Settings) -> Iterator[list[socket.socket]]:
    if settings.admin_port is not None:
        with ExitStack() as opened:
            names = settings.admin_hosts or ("127.0.0.1",)
            yield [opened.enter_context(tcp(name, settings.admin_port)) for name in names]
        return
    with _unix(settings.state / "admin.sock") as listener:
        yield [listener]


@contextmanager
def _clock_sockets(settings: Settings) -> Iterator[list[socket.socket]]:
    """The Unix socket first, then one TCP socket for each address of the control network."""
    with ExitStack() as opened:
        listeners = [opened.enter_context(_unix(settings.state / "clock.sock"))]
        if settings.clock_port is not None:
            names = settings.admin_hosts or ("127.0.0.1",)
            listeners += [opened.enter_context(tcp(name, settings.clock_port)) for name in names]
        yield listeners


@contextmanager
def _unix(file: Path) -> Iterator[socket.socket]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind_unix(listener, file)
        yield listener
    finally:
        listener.close()
        file.unlink(missing_ok=True)


def _bind_unix(listener: socket.socket, file: Path) -> None:
    """Bind with mode 0600 from the first instant on; a path that is too long goes by its folder's handle."""
    file.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    before = os.umask(0o177)
    try:
        listener.bind(f"/proc/self/fd/{folder}/{file.name}" if len(os.fsencode(file)) > 100 else str(file))
    finally:
        os.umask(before)
        os.close(folder)
    listener.listen(BACKLOG)
    listener.setblocking(False)


def _running(
    settings: Settings, public: socket.socket, admin: list[socket.socket], clock: list[socket.socket]
) -> Running:
    port: int = public.getsockname()[1]
    scheme = "https" if settings.tls else "http"
    everywhere = settings.host in {"0.0.0.0", "::"}
    name = "localhost" if everywhere or hosts.is_loopback(settings.host) else settings.host
    if settings.admin_port is not None:
        host, number = admin[0].getsockname()[:2]
        reached = f"http://{host}:{number}"
    else:
        reached = f"unix:{(settings.state / 'admin.sock').resolve()}"
    url = settings.public_url or f"{scheme}://{name}:{port}"
    ticking = str((settings.state / "clock.sock").resolve())
    if settings.clock_port is not None:
        host, number = clock[1].getsockname()[:2]
        ticking = f"{host}:{number}"
    return Running(os.getpid(), settings.host, port, settings.tls, url.rstrip("/"), reached, ticking)
