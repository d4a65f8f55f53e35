"""Installed packages: dpkg's own status file, or what rpm says."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from arcbed_agent.gcad.dsc.host import LinuxHost

_STATUS = "/var/lib/dpkg/status"


class Installed(NamedTuple):
    """One installed package."""

    name: str
    version: str
    kind: str


class Software:
    """What is installed.

    Args:
        packages: all of it.
    """

    def __init__(self, packages: Iterable[Installed]) -> None:
        self._packages: dict[str, Installed] = {package.name: package for package in packages}

    def find(self, name: str) -> Installed | None:
        """The package of this name."""
        return self._packages.get(name)

    def matching(self, pattern: str) -> list[str]:
        """The names of what is installed and fits `pattern`."""
        return fnmatch.filter(self._packages, pattern) if "*" in pattern else [pattern] * self.any(pattern)

    def any(self, pattern: str) -> bool:
        """Whether a package is installed whose name is `pattern`; ``*`` stands for anything."""
        if "*" not in pattern:
            return pattern in self._packages
        return any(fnmatch.fnmatchcase(name, pattern) for name in self._packages)


def installed(host: LinuxHost) -> Software:
    """The packages of a machine: dpkg's where it is used, else rpm's."""
    status = host.text(_STATUS)
    if status:
        return Software(_dpkg(status))
    root = () if host.whole else ("--root", str(host.root))
    answer = host.run("rpm", *root, "-qa", "--queryformat", r"%{NAME} %{VERSION}-%{RELEASE}\n")
    rows = (line.partition(" ") for line in answer.out.splitlines() if " " in line)
    return Software(Installed(name, version, "rpm") for name, _, version in rows)


def _dpkg(text: str) -> Iterable[Installed]:
    """Stanzas of the status file; what is being removed counts as absent, as in nxtools."""
    for stanza in text.split("\n\n"):
        fields = dict.fromkeys(("Package", "Status", "Version"), "")
        for line in stanza.splitlines():
            name, colon, value = line.partition(": ")
            if colon and name in fields:
                fields[name] = value.strip()
        words = fields["Status"].split()
        if fields["Package"] and words[-1:] == ["installed"] and words[0] != "deinstall":
            yield Installed(fields["Package"], fields["Version"], "dpkg")
