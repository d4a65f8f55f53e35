"""MSFT_ChefInSpecResource: profiles of InSpec, without Ruby.

The five profiles of Microsoft's own packages are known here; of any other, `controls` reads the plain form.
A control that is written in another way is reported as not supported, never passed.

Source: Azure/azure-policy, samples/GuestConfiguration (installed_application_linux and its kin).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from arcbed_agent.gcad.dsc.baseline import sshd
from arcbed_agent.gcad.dsc.baseline.account_checks import passwords_set
from arcbed_agent.gcad.dsc.baseline.checks import file
from arcbed_agent.gcad.dsc.families.application import package_names
from arcbed_agent.gcad.dsc.families.controls import Control, NotSupported, examine, read_controls
from arcbed_agent.gcad.dsc.host import DscHost
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault
from arcbed_agent.gcad.dsc.results import Reason

NOT_COMPLIANT = "InSpecPolicyNotCompliant"


@dataclass(frozen=True)
class _Outcome:
    """One control: None when it cannot be told."""

    control: str
    passed: bool | None
    message: str

    @property
    def status(self) -> str:
        return {True: "passed", False: "failed", None: "skipped"}[self.passed]


def _packages(host: DscHost, attributes: str, *, installed: bool) -> list[_Outcome]:
    title = "Installed Application Packages" if installed else "Not Installed Application Packages"
    outcomes = []
    for name in package_names(attributes or "packages: [Unknown Application]"):
        found = host.software.any(name)
        state = "is installed" if found else "is not installed"
        outcomes.append(_Outcome(title, found is installed, f"System Package {name} {state}"))
    return outcomes


def _single(title: str, failure: str | None) -> list[_Outcome]:
    return [_Outcome(title, failure is None, failure or title)]


def _no_empty_ssh_passwords(host: DscHost) -> str | None:
    finding = sshd.audit(host, "SshPermitEmptyPasswordsIsDisabled", "no")
    return None if finding.passed else finding.phrase


#: Microsoft's own profiles by name.
_PROFILES: dict[str, Callable[[DscHost, str], list[_Outcome]]] = {
    "installed_application_linux": lambda host, text: _packages(host, text, installed=True),
    "not_installed_application_linux": lambda host, text: _packages(host, text, installed=False),
    "passwordpolicy_msid110": lambda host, _: _single(
        "Remote connections from accounts with empty passwords are off", _no_empty_ssh_passwords(host)
    ),
    "passwordpolicy_msid121": lambda host, _: _single(
        "/etc/passwd has mode 0644", file("/etc/passwd", 0o644)(host, "")
    ),
    "passwordpolicy_msid232": lambda host, _: _single(
        "No account is without a password", passwords_set(host, "")
    ),
}


class InSpec(Resource):
    """All controls of a profile pass."""

    names: ClassVar[tuple[str, ...]] = ("MSFT_ChefInSpecResource",)
    code: ClassVar[str] = "MSFT_ChefInSpecResource"
    keys: ClassVar[tuple[str, ...]] = ("Name",)
    settable: ClassVar[bool] = False

    def inspect(self) -> Current:
        """Run the controls; one reason carries the whole text."""
        outcomes = self._outcomes()
        failed = [one for one in outcomes if one.passed is False]
        skipped = [one for one in outcomes if one.passed is None]
        result = {
            "controls": [
                {"id": one.control, "status": one.status, "code_desc": one.message} for one in outcomes
            ],
            "statistics": {"duration": 0.0},
            "status": "Failed" if failed or skipped else "Passed",
        }
        current = Current({"Name": self.text("Name"), "Result": result})
        if failed or skipped or not outcomes:
            current.reasons.append(Reason(NOT_COMPLIANT, self._console(outcomes)))
        return current

    def _console(self, outcomes: list[_Outcome]) -> str:
        marks = {True: "[PASS]", False: "[FAIL]", None: "[SKIP]"}
        lines = [f"Profile: {self.text('Name')}"]
        lines += [f"  {marks[one.passed]} {one.control}: {one.message}" for one in outcomes]
        counts = {status: sum(one.passed is status for one in outcomes) for status in marks}
        lines.append(
            f"Test Summary: {counts[True]} successful, {counts[False]} failures, {counts[None]} skipped"
        )
        return "\n".join(lines)

    def _outcomes(self) -> list[_Outcome]:
        known = _PROFILES.get(self.text("Name").casefold())
        if known:
            return known(self.host, self.text("AttributesYmlContent"))
        return [self._examined(control) for control in self._controls()]

    def _controls(self) -> list[Control]:
        """The controls of the profile, wherever below Modules it lies."""
        modules = self.folder / "Modules"
        files = sorted(modules.glob("*/controls/*.rb")) if modules.is_dir() else []
        if not files:
            raise ResourceFault("NotSupported", f"The package has no controls of '{self.text('Name')}'.")
        return [control for path in files for control in read_controls(path.read_text(errors="replace"))]

    def _examined(self, control: Control) -> _Outcome:
        try:
            failures = examine(self.host, control)
        except NotSupported as problem:
            return _Outcome(control.name, None, f"not evaluated: {problem}")
        return _Outcome(control.name, not failures, "; ".join(failures) or control.title or control.name)
