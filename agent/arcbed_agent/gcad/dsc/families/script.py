"""nxScript in its shell form: three scripts with a shebang, run as an account of the machine.

Source: microsoft/PowerShell-DSC-for-Linux, nxScript. The PowerShell form of Azure/nxtools is not evaluated:
nothing here runs PowerShell.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path
from typing import ClassVar

from arcbed_agent.gcad.dsc.commands import Output
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault


class Script(Resource):
    """Three scripts: what is, whether that is right, and how to make it so."""

    names: ClassVar[tuple[str, ...]] = ("nxScript", "MSFT_nxScriptResource")
    code: ClassVar = "nxScript"
    keys: ClassVar = ("TestScript",)

    def inspect(self) -> Current:
        """TestScript leaves with 0 when all is well; what GetScript prints is the reason otherwise."""
        tested = self._run("TestScript")
        current = Current({"Result": tested.out})
        if self.given("GetScript"):
            current.properties["Result"] = self._run("GetScript").out
        if tested.code:
            said = (current.properties["Result"] or tested.error).strip() or f"It left with {tested.code}."
            current.reasons.append(self.reason("TestScript", f"TestScript did not pass. {said}"))
        return current

    def enforce(self) -> None:
        """SetScript must leave with 0."""
        self.host.may_change_machine("What a script does")
        if not self.given("SetScript"):
            raise ResourceFault("SetFailed", "There is no SetScript.")
        answer = self._run("SetScript")
        if answer.code:
            raise ResourceFault("SetFailed", f"SetScript failed: {answer.complaint}")

    def _run(self, name: str) -> Output:
        text = self.text(name).lstrip("\ufeff\r\n").replace("\r\n", "\n")
        if not text.startswith("#!"):
            raise ResourceFault("NotSupported", f"{name} has no shebang; PowerShell is not run here.")
        if not self.host.whole:
            raise ResourceFault("NotSupported", "Scripts are not run for a folder that stands for a machine.")
        interpreter = shlex.split(text[2:].partition("\n")[0])
        account = self._account()
        with tempfile.TemporaryDirectory(prefix="gcad-script-") as folder:
            file = Path(folder) / name
            file.write_text(text, encoding="utf-8")
            if account:
                os.chown(folder, *account)
                os.chown(file, *account)
            return self.host.run(*interpreter, str(file), seconds=self.host.script_seconds, account=account)

    def _account(self) -> tuple[int, int] | None:
        user, group = self.text("User"), self.text("Group")
        if not user and not group:
            return None
        account = self.host.account(user or "root")
        chosen = self.host.group(group) if group else None
        if account is None or (group and chosen is None):
            raise ResourceFault("InvalidProperty", f"There is no account '{user}' or no group '{group}'.")
        return account.uid, chosen.gid if chosen else account.gid
