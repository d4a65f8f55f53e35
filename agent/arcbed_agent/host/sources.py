"""Where facts about the machine come from, so that tests and beds can hand in others."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from io import FileIO
from pathlib import Path


@dataclass(frozen=True)
class InterfaceAddress:
    """One address of one network interface."""

    interface: str
    address: str
    prefix_length: int


@dataclass(frozen=True)
class Sources:
    """The files, commands and system calls that describe one machine.

    Args:
        roots: folders that stand for ``/``; a file is taken from the first that has it, so that a folder
            with an ``etc/os-release`` of its own can shadow the machine's.
        run: standard output of a command, empty when it is missing or fails.
        addresses: the addresses of all interfaces.
        canonical_name: the resolver's full name of a short one, empty when it knows none.
        used_bytes: bytes in use on the file system mounted at a path.
        architecture: as ``uname -m`` prints it.
        environment: the process environment.
    """

    roots: tuple[Path, ...]
    run: Callable[[Sequence[str]], str]
    addresses: Callable[[], list[InterfaceAddress]]
    canonical_name: Callable[[str], str]
    used_bytes: Callable[[str], int]
    architecture: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def read(self, path: str) -> str:
        """The stripped text of ``/path``, empty when it is absent or not readable."""
        for root in self.roots:
            try:
                # Some forty of these make one heartbeat; a path object and a text stream would be half of it.
                with FileIO(f"{root}/{path}") as file:
                    return file.readall().decode("utf-8", "replace").strip(" \t\r\n\0")
            except OSError:
                continue
        return ""

    def exists(self, *patterns: str) -> bool:
        """Whether any file matches one of the glob `patterns` below ``/``."""
        return any(_exists(root, pattern) for root in self.roots for pattern in patterns)

    def names(self, path: str) -> list[str]:
        """The sorted entries of the folder ``/path``."""
        for root in self.roots:
            try:
                return sorted(os.listdir(root / path))  # noqa: PTH208 - names are wanted, not paths
            except OSError:
                continue
        return []


def this_machine(shadow: Path | None = None) -> Sources:
    """The real sources of the machine this process runs on; files below `shadow` go before its own."""
    root = Path("/")
    return Sources(
        roots=(shadow, root) if shadow else (root,),
        run=_run,
        addresses=_addresses,
        canonical_name=_canonical_name,
        used_bytes=_used_bytes,
        architecture=os.uname().machine,
        environment=os.environ,
    )


def _run(command: Sequence[str]) -> str:
    # The firmware says the same until the machine starts again, and it is asked for every heartbeat.
    return _firmware(tuple(command)) if command[0] == "dmidecode" else _output(command)


@cache
def _firmware(command: tuple[str, ...]) -> str:
    return _output(command)


def _output(command: Sequence[str]) -> str:
    # Finding out that a program is missing must not cost a fork.
    if shutil.which(command[0]) is None:
        return ""
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return finished.stdout.strip()


def _exists(root: Path, pattern: str) -> bool:
    if "*" in pattern:
        return next(root.glob(pattern), None) is not None
    return (root / pattern).exists()


def _addresses() -> list[InterfaceAddress]:
    import ifaddr

    return [
        InterfaceAddress(
            str(adapter.name), ip.ip if isinstance(ip.ip, str) else str(ip.ip[0]), int(ip.network_prefix)
        )
        for adapter in ifaddr.get_adapters()
        for ip in adapter.ips
    ]


def _canonical_name(name: str) -> str:
    try:
        answers = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=socket.AI_CANONNAME)
    except OSError:
        return ""
    return answers[0][3]


def _used_bytes(mount_point: str) -> int:
    try:
        state = os.statvfs(mount_point)
    except OSError:
        return 0
    return (state.f_blocks - state.f_bfree) * state.f_frsize
