"""A folder that stands for a machine: files, accounts, packages, units, and what programs print.

root of the tree is whoever runs the tests, so that ownership can be asked about without privileges.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from arcbed_agent.gcad.dsc.commands import NOT_FOUND, Output
from arcbed_agent.gcad.dsc.host import LinuxHost


class RecordedCommands:
    """Answers of programs that are not run; `ran` holds what was asked for."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, ...], Output] = {}
        self.units: dict[str, dict[str, str]] = {}
        self.ran: list[tuple[str, ...]] = []

    def run(
        self,
        words: Sequence[str],
        *,
        seconds: float = 60.0,
        account: tuple[int, int] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Output:
        """The recorded answer, or that there is no such program."""
        del seconds, account, environment
        self.ran.append(tuple(words))
        if words[:2] == ["systemctl", "is-active"] or tuple(words[:2]) == ("systemctl", "is-active"):
            state = self.units.get(words[-1], {}).get("ActiveState", "inactive")
            return Output(0 if state == "active" else 3, f"{state}\n")
        if tuple(words[:2]) == ("systemctl", "show"):
            found = self.units.get(words[-1], {"LoadState": "not-found", "ActiveState": "inactive"})
            return Output(0, "".join(f"{name}={value}\n" for name, value in found.items()))
        return self.answers.get(tuple(words), Output(NOT_FOUND, error=f"{words[0]}: not found"))


class MachineTree:
    """The tree below `root`; every method returns the tree, so that calls chain."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands = RecordedCommands()
        self._packages: dict[str, tuple[str, str]] = {}
        me = f"{os.geteuid()}:{os.getegid()}"
        self.file("/etc/passwd", f"root:x:{me}:root:/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\n")
        self.file("/etc/group", f"root:x:{os.getegid()}:\ndaemon:x:1:\n")
        self.file("/etc/shadow", "root:*:20000:0:99999:7:::\ndaemon:*:20000:0:99999:7:::\n")
        self.package("base-files", "12")

    def path(self, name: str) -> Path:
        """Where the machine's path is."""
        return self.root / name.lstrip("/")

    def file(self, name: str, text: str = "", mode: int = 0o644) -> MachineTree:
        """Write a file."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, os.geteuid(), os.getegid())
        return self

    def folder(self, name: str, mode: int = 0o755) -> MachineTree:
        """Make a folder."""
        path = self.path(name)
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        return self

    def gone(self, name: str) -> MachineTree:
        """Remove a file."""
        self.path(name).unlink(missing_ok=True)
        return self

    def add(self, name: str, line: str) -> MachineTree:
        """Append a line to a file."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            stream.write(line + "\n")
        return self

    def user(
        self, name: str, uid: int, gid: int = 1, home: str = "/nonexistent", shell: str = "/bin/bash"
    ) -> MachineTree:
        """Add an account."""
        return self.add("/etc/passwd", f"{name}:x:{uid}:{gid}::{home}:{shell}")

    def group(self, name: str, gid: int, members: str = "") -> MachineTree:
        """Add a group."""
        return self.add("/etc/group", f"{name}:x:{gid}:{members}")

    def shadow(self, name: str, rest: str) -> MachineTree:
        """Add a line to /etc/shadow."""
        return self.add("/etc/shadow", f"{name}:{rest}")

    def package(self, name: str, version: str = "1.0", status: str = "install ok installed") -> MachineTree:
        """Install a package, for dpkg."""
        self._packages[name] = (version, status)
        stanzas = [
            f"Package: {name}\nStatus: {status}\nVersion: {version}\n"
            for name, (version, status) in self._packages.items()
        ]
        return self.file("/var/lib/dpkg/status", "\n".join(stanzas))

    def unit(self, name: str, active: str = "active", enabled: str = "enabled") -> MachineTree:
        """A unit of systemd."""
        self.commands.units[name] = {
            "LoadState": "loaded",
            "ActiveState": active,
            "UnitFileState": enabled,
        }
        return self

    def prints(self, *words: str, out: str, code: int = 0) -> MachineTree:
        """What a program prints."""
        self.commands.answers[words] = Output(code, out)
        return self

    def kernel(self, name: str, value: str) -> MachineTree:
        """A kernel setting."""
        return self.file("/proc/sys/" + name.replace(".", "/"), f"{value}\n")

    def host(self) -> LinuxHost:
        """The host that resources are given."""
        return LinuxHost(self.root, commands=self.commands)
