"""The Docker engine as a bed uses it: everything that is made carries the bed's labels.

The SDK blocks, so coroutines call it through `Engine.do`, in threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from docker.models.containers import Container

from arcbed.harness.errors import BedError

P = ParamSpec("P")
T = TypeVar("T")
#: On everything that belongs to any bed, and the one that names the bed.
ANY_LABEL = "dev.arcbed"
BED_LABEL = "dev.arcbed.bed"
#: The working directory of the command that made the bed: by it `arcbed down` knows its own.
DIRECTORY_LABEL = "dev.arcbed.directory"
ROLE_LABEL = "dev.arcbed.role"
SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class Images:
    """What containers are made from. `make images` builds all three.

    Args:
        cloud: has `fakecloud` on its path and keeps its state in /state.
        agent: a machine with the agent installed.
        bare: a machine without it.
        tools: has python3, ip, ss and iptables: network helpers and proxies.
    """

    cloud: str = "arcbed/fakecloud:dev"
    agent: str = "arcbed/agent:dev"
    bare: str = "arcbed/machine:dev"
    tools: str = "arcbed/machine:dev"


class _Clients:
    """One client for each thread that asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, docker.DockerClient] = {}

    def mine(self) -> docker.DockerClient:
        me = threading.get_ident()
        client = self._open.get(me)
        if client is None:
            client = connected()
            with self._lock:
                self._open[me] = client
        return client

    def close(self) -> None:
        with self._lock:
            clients, self._open = self._open, {}
        for client in clients.values():
            client.close()


@dataclass(frozen=True)
class Engine:
    """The engine that `DOCKER_HOST` names, as one bed sees it.

    Args:
        bed: the bed's id.
        directory: for which the bed is made, for `arcbed down`.
        images: what containers are made from.
    """

    bed: str
    directory: Path = field(default_factory=Path.cwd)
    images: Images = field(default_factory=Images)
    _clients: _Clients = field(default_factory=_Clients, repr=False, compare=False)

    @property
    def client(self) -> docker.DockerClient:
        """A client of this thread's own: the SDK does not promise that threads can share one.

        Raises:
            BedError: no engine answers.
        """
        return self._clients.mine()

    def close(self) -> None:
        """Let go of all connections; whoever needs one again gets a new one."""
        self._clients.close()

    def labels(self, role: str) -> dict[str, str]:
        """The labels of an object that plays `role` in this bed."""
        return {
            ANY_LABEL: "true",
            BED_LABEL: self.bed,
            DIRECTORY_LABEL: str(self.directory),
            ROLE_LABEL: role,
        }

    def name(self, part: str) -> str:
        """The engine's name of an object of this bed."""
        return f"arcbed-{self.bed}-{part}"

    async def do(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """What `function` gives, run in a thread.

        Raises:
            BedError: the engine refuses; the message says what it said.
        """
        return await asyncio.to_thread(lambda: self.guarded(function, *args, **options))

    def guarded(self, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """What `function` gives.

        Raises:
            BedError: the engine refuses; the message says what it said.
        """
        with refusals():
            return function(*args, **options)

    def container(self, identity: str) -> Container:
        """A container by its id, as it is now."""
        return self.client.containers.get(identity)


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what the engine says into errors for people.

    Raises:
        BedError: the engine refuses.
    """
    try:
        yield
    except DockerException as error:
        raise told(error) from error


def connected() -> docker.DockerClient:
    """A client of the engine.

    Raises:
        BedError: no engine answers.
    """
    try:
        client = docker.from_env(timeout=SECONDS)
        client.ping()
    except DockerException as error:
        raise BedError(f"no Docker engine answers{_why(error)}") from error
    return client


def _why(error: BaseException) -> str:
    """What keeps the engine from answering, and what to do; the SDK wraps the cause in several others."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    if any(isinstance(one, PermissionError) for one in causes):
        return ": this user may not use it; join the group docker, or run as root"
    if any(isinstance(one, FileNotFoundError | ConnectionRefusedError) for one in causes):
        return ": it does not run; start one, or point DOCKER_HOST at one"
    return f" ({error}); start one, or point DOCKER_HOST at one"


def told(error: DockerException) -> BedError:
    """`error` as people should read it."""
    if isinstance(error, ImageNotFound):
        return BedError(f"an image is missing: {error.explanation}; make it with: make images")
    if isinstance(error, APIError):
        return BedError(f"the Docker engine refused: {error.explanation or error}")
    return BedError(f"the Docker engine failed: {error}")
