"""nxPackage: an installed package.

Source: Azure/nxtools, class nxPackage; microsoft/PowerShell-DSC-for-Linux, MSFT_nxPackageResource.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import ClassVar

from arcbed_agent.gcad.dsc.commands import NOT_FOUND
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault

#: What may be handed to a package manager: never anything that it could take for an option or a path.
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._:~-]*")
_INSTALLERS = (
    ("apt-get", ("-y", "-q", "--allow-downgrades", "-o", "Dpkg::Options::=--force-confold"), "="),
    ("dnf", ("-y", "-q"), "-"),
    ("yum", ("-y", "-q"), "-"),
    ("zypper", ("--non-interactive",), "="),
)


class Package(Resource):
    """A package of dpkg or rpm."""

    names: ClassVar[tuple[str, ...]] = ("nxPackage", "MSFT_nxPackageResource")
    code: ClassVar = "nxPackage"
    keys: ClassVar = ("Name",)

    def inspect(self) -> Current:
        """Installed or not, and in which version."""
        name = self._name()
        found = self.host.software.find(name)
        state = "Present" if found else "Absent"
        current = Current({"Name": name, "Ensure": state})
        if found:
            current.properties |= {"Version": found.version, "PackageType": found.kind}
        if self.wanted != bool(found):
            wanted = "Present" if self.wanted else "Absent"
            phrase = f"The package {name} was expected {wanted} but was {state}."
            current.reasons.append(self.reason("Ensure", phrase))
        elif found and self.text("Version") and self.text("Version") != found.version:
            phrase = f"The package {name} is present in version {found.version}, not {self.text('Version')}."
            current.reasons.append(self.reason("Version", phrase))
        return current

    def _name(self) -> str:
        name = self.text("Name")
        for text in (name, self.text("Version")):
            if text and not SAFE_NAME.fullmatch(text):
                raise ResourceFault("InvalidProperty", f"'{text}' is not the name or version of a package.")
        return name

    def enforce(self) -> None:
        """Install or remove with whatever package manager the machine has."""
        self.host.may_change_machine("Packages")
        if self.flag("PackageGroup"):
            raise ResourceFault("NotSupported", "Groups of packages are not installed.")
        for words in self._attempts():
            answer = self.host.run(*words, seconds=self.host.script_seconds)
            if answer.code == NOT_FOUND:
                continue
            if str(answer.code) != self.text("ReturnCode", "0"):
                raise ResourceFault("SetFailed", f"{words[0]} failed: {answer.complaint}")
            return
        raise ResourceFault("SetFailed", "The machine has no package manager that is known here.")

    def _attempts(self) -> Iterator[list[str]]:
        """What to run, for each package manager that may be there."""
        name, version = self._name(), self.text("Version")
        more = shlex.split(self.text("Arguments"))
        if self.wanted and self.text("FilePath"):
            file = str(self.host.path(self.text("FilePath")))
            yield ["dpkg", "--install", *more, file] if file.endswith(".deb") else ["rpm", "-U", *more, file]
            return
        asked = self.text("PackageManager").casefold().removesuffix("-get")
        for program, options, sign in _INSTALLERS:
            if asked and program.removesuffix("-get") != asked:
                continue
            target = f"{name}{sign}{version}" if self.wanted and version else name
            yield [program, *options, *more, "install" if self.wanted else "remove", target]
