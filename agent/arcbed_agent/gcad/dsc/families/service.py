"""nxService: a unit of systemd, or a script of init.

Source: Azure/nxtools, class nxService; microsoft/PowerShell-DSC-for-Linux, MSFT_nxServiceResource.
"""

from __future__ import annotations

import re
from typing import ClassVar

from arcbed_agent.gcad.dsc.commands import NOT_FOUND
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault
from arcbed_agent.gcad.dsc.results import Reason

_STATES = ("running", "stopped")
_ENABLED = frozenset({"enabled", "enabled-runtime", "alias", "static"})
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+")
_PROPERTIES = ("LoadState", "ActiveState", "UnitFileState")


class Service(Resource):
    """A service by its unit's name."""

    names: ClassVar[tuple[str, ...]] = ("nxService", "MSFT_nxServiceResource")
    code: ClassVar = "nxService"
    keys: ClassVar = ("Name",)

    def inspect(self) -> Current:
        """Enabled, and running, as far as they are given."""
        name = self._name()
        found = self._shown(name)
        if found.get("LoadState") in {"not-found", "", None}:
            return self._missing(name)
        enabled = found.get("UnitFileState") in _ENABLED
        state = "running" if found.get("ActiveState") in {"active", "activating", "reloading"} else "stopped"
        current = Current({"Name": name, "Enabled": enabled, "State": state, "Controller": "systemd"})
        current.reasons += self._differences(enabled=enabled, state=state)
        return current

    def _differences(self, *, enabled: bool, state: str) -> list[Reason]:
        name, reasons = self.text("Name"), []
        wanted = self.optional_flag("Enabled")
        if wanted is not None and wanted != enabled:
            words = {True: "enabled", False: "disabled"}
            phrase = f"The service '{name}' is expected to be {words[wanted]} instead of {words[enabled]}."
            reasons.append(self.reason("Enabled", phrase))
        if self.given("State") and self._state() != state:
            phrase = f"The service '{name}' is expected to be '{self._state()}' instead of '{state}'."
            reasons.append(self.reason("State", phrase))
        return reasons

    def _missing(self, name: str) -> Current:
        """A unit that does not exist is as good as one that is off, if off was asked for."""
        current = Current({"Name": name, "Enabled": False, "State": "stopped"})
        off = self.optional_flag("Enabled") is False and self.given("State") and self._state() == "stopped"
        if not off:
            current.reasons.append(self.reason("NotRunningDNE", f"The service '{name}' does not exist."))
        return current

    def _state(self) -> str:
        return self.word("State", _STATES, "running")

    def _name(self) -> str:
        name = self.text("Name")
        if not _UNIT.fullmatch(name) or name.startswith("-"):
            raise ResourceFault("InvalidProperty", f"'{name}' is not the name of a service.")
        return name

    def _shown(self, name: str) -> dict[str, str]:
        controller = self.text("Controller", "systemd").casefold()
        if controller not in {"systemd", "*", ""}:
            raise ResourceFault("NotSupported", f"Services of '{controller}' are not evaluated.")
        answer = self.host.run("systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", name)
        if answer.code == NOT_FOUND:
            raise ResourceFault("Error", "The machine has no systemctl.")
        if answer.code:
            raise ResourceFault("Error", f"systemctl failed: {answer.complaint}")
        return dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)

    def enforce(self) -> None:
        """Systemctl enable, disable, start, stop."""
        self.host.may_change_machine("Services")
        name = self._name()
        wanted = self.optional_flag("Enabled")
        for reason in self.current.reasons:
            detail = reason.code.rpartition(":")[2]
            if detail == "NotRunningDNE":
                raise ResourceFault("SetFailed", f"The service '{name}' does not exist.")
            if detail == "Enabled":
                self.command("systemctl", "enable" if wanted else "disable", "--", name)
            elif detail == "State":
                self.command("systemctl", "start" if self._state() == "running" else "stop", "--", name)
