"""A part of the host's cgroup tree, in which systemd can be PID 1 of a bed's machines.

On cgroup v1 only. Nothing of the host's tree can be written from the machines but this part, and no
capability is needed beyond an engine's usual ones. Source: systemd's page "The Container Interface".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from arcbed.harness.errors import BedError

_MOUNTED: Final = Path("/sys/fs/cgroup")
#: Hierarchies that a machine may write to: systemd's own, and the two that its CPUQuota needs.
_WRITTEN: Final = ("systemd", "cpu", "cpuacct")


class CgroupPart:
    """The part of one bed.

    Args:
        bed: the bed's id.
    """

    def __init__(self, bed: str) -> None:
        self._group = f"arcbed-{bed}"

    def make(self) -> None:
        """Make the groups; safe to repeat.

        Raises:
            BedError: this computer cannot have them; the message says why.
        """
        if not (_MOUNTED / "systemd").is_dir():
            raise BedError("machines with systemd need cgroup v1 on this computer: take the back end docker")
        try:
            for name in _WRITTEN:
                (_MOUNTED / name / self._group).mkdir(exist_ok=True)
        except OSError as error:
            raise BedError(
                f"machines with systemd need a cgroup, which cannot be made: {error.strerror}; run as root, "
                "or take the back end docker"
            ) from error

    def options(self) -> Mapping[str, Any]:
        """What the Docker SDK is told of a machine's container besides the usual."""
        trees = [_MOUNTED / name for name in _WRITTEN]
        return {
            "cgroupns": "host",
            "cgroup_parent": f"/{self._group}",
            "tmpfs": {str(_MOUNTED): "mode=755", "/run": "", "/run/lock": ""},
            "volumes": [
                *(f"{tree}:{tree}:ro" for tree in trees),
                *(f"{tree / self._group}:{tree / self._group}:rw" for tree in trees),
            ],
        }

    def remove(self) -> None:
        """Take the groups away once the containers are gone; the engine makes one in every hierarchy."""
        for tree in _MOUNTED.glob(f"*/{self._group}"):
            for folder, _, _ in os.walk(tree, topdown=False):
                with suppress(OSError):
                    Path(folder).rmdir()
