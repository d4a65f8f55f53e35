"""Changes of a tree that stands for a machine: what the cases of the Linux baseline are made of.

A pair is a machine that meets a rule and one that does not. ``same`` is the tree as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from machine_tree import MachineTree

Change = Callable[[MachineTree], object]
HASH = "$6$salt$" + "h" * 86
#: 2026-01-01, the time of the tests, in days.
TODAY = 20454
MODULES = "/etc/modprobe.d/off.conf"
RSYSLOG = "/etc/rsyslog.conf"


def same(_tree: MachineTree) -> None:
    """The tree as it is."""


def mode(path: str, good: int, bad: int = 0o666) -> tuple[Change, Change]:
    """A file with this mode, and with another."""
    return lambda tree: tree.file(path, "", good), lambda tree: tree.file(path, "", bad)


def folder(path: str) -> tuple[Change, Change]:
    """A folder with mode 700, and with 755."""
    return lambda tree: tree.folder(path, 0o700), lambda tree: tree.folder(path, 0o755)


def no_package(*names: str) -> tuple[Change, Change]:
    """Without a package, and with it."""
    return same, lambda tree: tree.package(names[-1])


def no_unit(*names: str) -> tuple[Change, Change]:
    """Without a unit running, and with it."""
    return lambda tree: tree.unit(names[-1], "inactive"), lambda tree: tree.unit(names[-1])


def mount(point: str, option: str, kind: str = "ext4") -> tuple[Change, Change]:
    """An entry of fstab with an option among others, and without it."""
    line = f"/dev/x {point} {kind} "
    return (
        lambda tree: tree.file("/etc/fstab", f"# {line} defaults 0 0\n{line} rw,{option},noatime 0 0\n"),
        lambda tree: tree.file("/etc/fstab", f"{line} rw,noatime 0 0\n"),
    )


def module(text: str) -> tuple[Change, Change]:
    """A text in a .conf file of modprobe, and nowhere but in another file."""
    return lambda tree: tree.file(MODULES, text + "\n"), lambda tree: tree.file(
        "/etc/modprobe.d/README", text
    )


def text(path: str, good: str, bad: str) -> tuple[Change, Change]:
    """A file with a text, and with another."""
    return lambda tree: tree.file(path, good), lambda tree: tree.file(path, bad)


def kernel(*names: str, good: str, bad: str) -> tuple[Change, Change]:
    """Settings of the kernel, and the last of them wrong."""

    def write(tree: MachineTree, last: str) -> None:
        for name in names:
            tree.kernel(name, last if name == names[-1] else good)

    return lambda tree: write(tree, good), lambda tree: write(tree, bad)


def pair(pattern: str, good: str, bad: str) -> tuple[Change, Change]:
    """For all interfaces and for new ones."""
    return kernel(*(f"net.{pattern}".replace("*", one) for one in ("all", "default")), good=good, bad=bad)


def ann(rest: str = f"{HASH}:20000:7:365:7:30::", shell: str = "/bin/bash") -> Change:
    """An account with a password."""
    return lambda tree: tree.user("ann", 1000, home="/home/ann", shell=shell).shadow("ann", rest)


def both(*changes: Change) -> Change:
    """One change after the other."""

    def change(tree: MachineTree) -> None:
        for one in changes:
            one(tree)

    return change


def home(mode_of_it: int = 0o700, name: str = "ann") -> Change:
    """A home of the account that runs the tests, and its owner."""

    def change(tree: MachineTree) -> None:
        tree.folder(f"/home/{name}", mode_of_it).folder("/root", 0o700)
        tree.add("/etc/passwd", f"{name}:x:1000:{os.getegid()}::/home/{name}:/bin/bash")

    return change


def login(good: str, bad: str, name: str) -> tuple[Change, Change]:
    """A setting of login.defs."""
    defs = "/etc/login.defs"
    return lambda tree: tree.file(defs, f"{name}\t{good}\n"), lambda tree: tree.file(defs, f"{name}\t{bad}\n")


def rsyslog_line(line: str) -> tuple[Change, Change]:
    """A line of rsyslog.conf, and the same as a comment."""
    return lambda tree: tree.file(RSYSLOG, f"{line}\n"), lambda tree: tree.file(RSYSLOG, f"#{line}\n")


def redirects() -> tuple[Change, Change]:
    """No interface takes redirects, and all do."""
    names = [
        f"net.{family}.conf.{scope}.{setting}"
        for family, setting in (
            ("ipv4", "accept_redirects"),
            ("ipv6", "accept_redirects"),
            ("ipv4", "secure_redirects"),
        )
        for scope in ("all", "default")
    ]
    return kernel(*names, good="0", bad="1")


def routed(scope: str) -> tuple[Change, Change]:
    """No source routes are taken, and they are."""
    names = [f"net.{family}.conf.{scope}.accept_source_route" for family in ("ipv4", "ipv6")]
    return kernel(*names, good="0", bad="1")
