"""Which of the governor's back ends this machine offers, and where this process is in their trees."""

from __future__ import annotations

import functools
from pathlib import Path

from arcbed_agent.governor.cgroup1 import Cgroup1
from arcbed_agent.governor.cgroup2 import Cgroup2
from arcbed_agent.governor.contract import GovernorError
from arcbed_agent.governor.hierarchy import folder, memberships, mounts, path_in
from arcbed_agent.governor.systemd import Systemd

PROBES = {"systemd": Systemd.probe, "cgroup2": Cgroup2.probe, "cgroup1": Cgroup1.probe}


@functools.cache
def refusal(name: str) -> str:
    """Why a back end does not work on this machine; empty: it does."""
    try:
        if name in PROBES:
            PROBES[name]("arc-trial/tests").close()
    except GovernorError as error:
        return str(error)
    return ""


def own_group(backend: str) -> tuple[Path, str]:
    """The folder and the path of this process's group, which is out of every group that a governor makes.

    Raises:
        GovernorError: there is no such tree.
    """
    controller = "cpu" if backend == "cgroup1" else None
    mountinfo, own = (Path(f"/proc/self/{name}").read_text() for name in ("mountinfo", "cgroup"))
    path = path_in(memberships(own), controller)
    return folder(mounts(mountinfo), path, controller), path
