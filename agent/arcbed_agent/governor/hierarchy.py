"""Where this process stands in the cgroup trees: /proc/self/mountinfo and /proc/self/cgroup.

Formats: proc(5), cgroups(7).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from arcbed_agent.governor.contract import GovernorError


@dataclass(frozen=True)
class Mount:
    """A mounted cgroup tree, or a part of one.

    Args:
        root: which folder of the tree is mounted, as this cgroup namespace names it.
        point: where.
        version: 1 or 2.
        controllers: of a version 1 tree; a named tree has ``name=systemd``.
        writable: neither the mount nor the file system is read-only.
    """

    root: str
    point: Path
    version: int
    controllers: frozenset[str]
    writable: bool


@dataclass(frozen=True)
class Membership:
    """The group of a process in one tree; `controllers` is empty for version 2."""

    controllers: frozenset[str]
    path: str


def _plain(text: str) -> str:
    """The kernel writes blank, tab, newline and backslash as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def mounts(text: str) -> list[Mount]:
    """The cgroup trees in the text of mountinfo, in its order; others and broken lines are passed over."""
    return [mount for line in text.split("\n") if (mount := _mount(line)) is not None]


def _mount(line: str) -> Mount | None:
    before, dash, after = line.partition(" - ")
    fields, system = before.split(" "), after.split(" ")
    if not dash or len(fields) < 6 or len(system) < 3 or system[0] not in {"cgroup", "cgroup2"}:
        return None
    flags, options = fields[5].split(","), system[2].strip().split(",")
    version = 2 if system[0] == "cgroup2" else 1
    return Mount(
        _plain(fields[3]),
        Path(_plain(fields[4])),
        version,
        frozenset(options) if version == 1 else frozenset(),
        "rw" in flags and "rw" in options,
    )


def memberships(text: str) -> list[Membership]:
    """The lines of /proc/PID/cgroup; broken ones are passed over."""
    found = []
    for line in text.split("\n"):
        number, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if number.isascii() and number.isdigit() and colon and path.startswith("/"):
            names = frozenset(name for name in controllers.split(",") if name)
            found.append(Membership(names, path.removesuffix(" (deleted)")))
    return found


def path_in(found: Iterable[Membership], controller: str | None) -> str:
    """The path of the process in the tree of a version 1 `controller`, or in that of version 2 (None).

    Raises:
        GovernorError: there is no such tree.
    """
    for membership in found:
        if controller in membership.controllers or (controller is None and not membership.controllers):
            return membership.path
    raise GovernorError(f"no {_tree(controller)} in /proc/self/cgroup")


def folder(found: Iterable[Mount], path: str, controller: str | None) -> Path:
    """Where the group `path` of a process is in the file system; the most exact mount counts.

    Args:
        found: all mounts.
        path: as /proc/PID/cgroup has it.
        controller: of version 1; None: version 2.

    Raises:
        GovernorError: the tree is not mounted, only its folders elsewhere are, or the path is outside of
            what this cgroup namespace shows.
    """
    version = 2 if controller is None else 1
    trees = [
        mount
        for mount in found
        if mount.version == version and (controller is None or controller in mount.controllers)
    ]
    if not trees:
        raise GovernorError(f"no {_tree(controller)} is mounted")
    if ".." in PurePosixPath(path).parts:
        raise GovernorError(f"own group {path} is outside the cgroup namespace")
    fitting = [mount for mount in trees if _below(path, mount.root) is not None]
    if not fitting:
        roots = ", ".join(mount.root for mount in trees)
        raise GovernorError(f"the {_tree(controller)} mounted here shows {roots}, not own group {path}")
    best = max(fitting, key=lambda mount: (mount.writable, len(mount.root)))
    return best.point / (_below(path, best.root) or "")


def _below(path: str, root: str) -> str | None:
    """`path` relative to `root`; None: it is not below."""
    if ".." in PurePosixPath(root).parts:
        return None
    if root == "/":
        return path.lstrip("/")
    if path == root:
        return ""
    return path.removeprefix(root + "/") if path.startswith(root + "/") else None


def _tree(controller: str | None) -> str:
    return "cgroup v2 tree" if controller is None else f"cgroup v1 tree with {controller}"
