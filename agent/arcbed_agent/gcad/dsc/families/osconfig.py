"""OsConfigResource: the rules of the security baselines.

The reported text begins with the expected one (PASS by default) when a rule is met. The component
``SecurityBaseline`` has the rules of `baseline`, ``ComplianceEngine`` brings its own in `compliance`.

Source: Azure/azure-osconfig, src/adapters/mc.
"""

from __future__ import annotations

from typing import ClassVar

from arcbed_agent.gcad.dsc.baseline import sshd
from arcbed_agent.gcad.dsc.baseline.checks import Correctable
from arcbed_agent.gcad.dsc.baseline.rules import DEFAULTS, RULES
from arcbed_agent.gcad.dsc.compliance import Unsupported
from arcbed_agent.gcad.dsc.compliance import audit as audit_rule
from arcbed_agent.gcad.dsc.resource import Current, Resource, ResourceFault
from arcbed_agent.gcad.dsc.results import Reason

_PREFIX = "Ensure"
_PASS = "PASS"
_FAIL = "FAIL"
_SHOWN = (
    "PayloadKey",
    "ComponentName",
    "ReportedObjectName",
    "ExpectedObjectValue",
    "DesiredObjectName",
    "DesiredObjectValue",
)


class OsConfig(Resource):
    """One rule."""

    names: ClassVar[tuple[str, ...]] = ("OsConfigResource",)
    code: ClassVar[str] = "OsConfigResource"
    keys: ClassVar[tuple[str, ...]] = ("RuleId", "PayloadKey", "ComponentName", "ReportedObjectName")

    def inspect(self) -> Current:
        """Audit the rule; the reason's code says whether it passed."""
        if self.text("ProcedureObjectName") and not self.text("ProcedureObjectValue"):
            raise ResourceFault("InvalidProperty", "ProcedureObjectName is set without ProcedureObjectValue.")
        reported = self._reported()
        compliant = reported.startswith(self.text("ExpectedObjectValue") or _PASS)
        word = "BaselineSettingCompliant" if compliant else "BaselineSettingNotCompliant"
        phrase = reported.removeprefix(_PASS).strip() if compliant else reported
        properties = {name: self.instance.get(name) for name in _SHOWN} | {
            "RuleId": self.text("RuleId"),
            "ReportedObjectValue": reported,
        }
        reason = Reason(f"{word}:{{{self.text('RuleId')}}}", phrase or "Audit passed")
        return Current(properties, [reason])

    def is_compliant(self, current: Current) -> bool:
        """Both outcomes have a reason."""
        return current.reasons[0].code.startswith("BaselineSettingCompliant")

    @property
    def _key(self) -> str:
        return self.text("PayloadKey").removeprefix(_PREFIX)

    def _reported(self) -> str:
        """PASS and a phrase, or the failure."""
        component = self.text("ComponentName")
        if component == "SecurityBaseline":
            return self._baseline()
        if component == "ComplianceEngine":
            try:
                return audit_rule(
                    self.host, self.text("ProcedureObjectValue"), self.text("DesiredObjectValue")
                )
            except Unsupported as problem:
                raise ResourceFault("NotSupported", f"{problem}.") from problem
            except ValueError as problem:
                raise ResourceFault("InvalidProperty", f"ProcedureObjectValue: {problem}.") from problem
        raise ResourceFault("NotSupported", f"Rules of the component '{component}' are not evaluated.")

    @property
    def _desired(self) -> str:
        """The document's value; rules that take none say PASS."""
        text = self.text("DesiredObjectValue")
        return "" if text == _PASS else text

    def _baseline(self) -> str:
        key, desired = self._key, self._desired or DEFAULTS.get(self._key, "")
        check = RULES.get(key)
        if check is None and key not in sshd.KEYS:
            raise ResourceFault("NotSupported", f"The rule '{self.text('PayloadKey')}' is not evaluated.")
        try:
            if check is None:
                finding = sshd.audit(self.host, key, desired)
                return f"{_PASS} {finding.phrase}" if finding.passed else finding.phrase
            failure = check(self.host, desired)
        except ValueError as problem:
            raise ResourceFault("InvalidProperty", f"DesiredObjectValue '{desired}': {problem}.") from problem
        return _PASS if failure is None else failure or _FAIL

    def enforce(self) -> None:
        """Rules about sshd, and those made of modes, packages and units that can be corrected."""
        key = self._key
        check = RULES.get(key) if self.text("ComponentName") == "SecurityBaseline" else None
        if key in sshd.KEYS and self.text("ComponentName") == "SecurityBaseline":
            sshd.remediate(self.host, key, self._desired)
        elif isinstance(check, Correctable):
            check.correct(self.host, self._desired or DEFAULTS.get(key, ""))
        else:
            raise ResourceFault("SetNotSupported", f"The rule '{self.text('PayloadKey')}' is audited only.")
