"""GC_InstalledApplicationLinux and its opposite: lists of packages.

Source: Azure/nxtools, source/Classes/2.GCResources.
"""

from __future__ import annotations

import re
from typing import ClassVar

from arcbed_agent.gcad.dsc.families.package import SAFE_NAME
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault

_FRAME = re.compile(r"^\s*(?:packages\s*:)?\s*\[?|\]?\s*$", re.IGNORECASE)


def package_names(text: str) -> list[str]:
    """The names in ``packages: [a; b]``, or bare ``a; b``; commas separate as well.

    Raises:
        ResourceFault: one of them cannot be a package's name.
    """
    names = [name.strip().strip("'\"") for name in re.split(r"[;,]", _FRAME.sub("", text))]
    for name in names:
        if not SAFE_NAME.fullmatch(name):
            raise ResourceFault("Ensure", f"'{name}' is not a valid package name.")
    return names


class InstalledApplications(Resource):
    """All packages of the list are installed."""

    names: ClassVar[tuple[str, ...]] = ("GC_InstalledApplicationLinux",)
    keys: ClassVar = ("Name",)
    settable: ClassVar = False
    installed: ClassVar = True

    def inspect(self) -> Current:
        """One reason for each package that is not as desired."""
        names = package_names(self.text("AttributesYmlContent", "packages: [Unknown Application]"))
        found = [name for name in names if self.host.software.any(name)]
        current = Current({"Name": self.text("Name"), "AttributesYmlContent": ";".join(found)})
        for name in names:
            if (name in found) != self.installed:
                state = "installed but was not found" if self.installed else "absent but is installed"
                phrase = f"The package '{name}' is expected to be {state} on the local system."
                current.reasons.append(self.reason("Ensure", phrase))
        return current


class NotInstalledApplications(InstalledApplications):
    """No package of the list is installed."""

    names: ClassVar[tuple[str, ...]] = ("GC_NotInstalledApplicationLinux",)
    installed: ClassVar = False
