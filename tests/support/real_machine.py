"""The machines of the baseline's rules made of a real one: run in a container that is thrown away.

``python3 real_machine.py`` gives the machine each rule's good and bad state in turn, judges it with the
engine, and puts back what was there. It prints one JSON object: the rules that were not decided as they
should be, and those whose state only a recording can have.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from baseline_cases import CASES
from baseline_rules import rule
from machine_tree import MachineTree

from arcbed_agent.gcad.dsc.host import LinuxHost
from arcbed_agent.gcad.dsc.mof import Instance
from arcbed_agent.gcad.dsc.registry import resource

#: The time of the rules' machines.
NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNIT = "[Unit]\nDescription=of a rule\n[Service]\nExecStart=/bin/sleep 1000\n"


class UnrealError(Exception):
    """A state that a container cannot have."""


class RealMachine(MachineTree):
    """The machine itself, which remembers what it was before."""

    def __init__(self) -> None:
        self._before: dict[Path, tuple[bytes | None, os.stat_result] | None] = {}
        self._units: list[str] = []
        super().__init__(Path("/"))

    def path(self, name: str) -> Path:
        """Where it is; what is there is kept for later."""
        if name.startswith(("/proc/", "/sys/")) and not name.startswith("/proc/sys/net/"):
            raise UnrealError(name)
        path = super().path(name)
        for one in (path, *path.parents):
            if one in self._before or one == Path("/"):
                continue
            if one.is_file():
                self._before[one] = (one.read_bytes(), one.stat())
            else:
                self._before[one] = (None, one.stat()) if one.exists() else None
        return path

    def kernel(self, name: str, value: str) -> MachineTree:
        """A setting of this container's own network."""
        self.path("/proc/sys/" + name.replace(".", "/")).write_text(value)
        return self

    def file(self, name: str, text: str = "", mode: int = 0o644) -> MachineTree:
        """Write a file; a mount of its own is no place for that."""
        if os.path.ismount(name):
            raise UnrealError(name)
        return super().file(name, text, mode)

    def unit(self, name: str, active: str = "active", enabled: str = "enabled") -> MachineTree:
        """A unit that does run, or does not."""
        del enabled
        full = name if "." in name else f"{name}.service"
        if not full.endswith(".service"):
            raise UnrealError(name)
        self.file(f"/etc/systemd/system/{full}", UNIT)
        self._units.append(full)
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        subprocess.run(["systemctl", "start" if active == "active" else "stop", full], check=True)
        return self

    def prints(self, *words: str, out: str, code: int = 0) -> MachineTree:
        """Programs print what is the case."""
        del out, code
        raise UnrealError(" ".join(words))

    def restore(self) -> None:
        """As it was."""
        for unit in self._units:
            subprocess.run(["systemctl", "stop", unit], check=True)
        for path, before in sorted(self._before.items(), key=lambda item: len(item[0].parts), reverse=True):
            if before is None:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                continue
            content, status = before
            if content is not None:
                path.write_bytes(content)
            if not str(path).startswith("/proc"):
                os.chown(path, status.st_uid, status.st_gid)
                path.chmod(status.st_mode & 0o7777)
        if self._units:
            subprocess.run(["systemctl", "daemon-reload"], check=True)


def judge(key: str, which: int) -> bool:
    """Whether the engine decides the state as it should.

    Raises:
        UnrealError: this machine cannot have it.
    """
    machine = RealMachine()
    try:
        CASES[key][which](machine)
        host = LinuxHost().for_run(changes_allowed=False, now=NOW)
        return resource(Instance("OsConfigResource", None, rule(key)), host, Path("/")).test() is (which == 0)
    finally:
        machine.restore()


def main() -> None:
    """All rules, both ways."""
    wrong, unreal = [], {}
    for key in sorted(CASES):
        for which in (0, 1):
            try:
                if not judge(key, which):
                    wrong.append((key, which))
            except UnrealError as problem:
                unreal[key] = str(problem)
    print(json.dumps({"wrong": wrong, "unreal": unreal}))


if __name__ == "__main__":
    main()
