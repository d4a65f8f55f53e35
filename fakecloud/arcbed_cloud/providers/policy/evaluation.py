"""Evaluating one definition on one machine, and making the guest assignment that it calls for.

Sources: Microsoft's articles "Azure Policy applicability logic", "Understanding Azure Machine
Configuration" and "Remediation options for machine configuration". The service makes an Audit assignment at
its first contact with a machine, whatever the effect; a ``deployIfNotExists`` definition deploys when the
machine is created or changed (enforcement mode Default) or when a remediation says so, and not before the
first audit has come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import structlog

from arcbed_cloud.arm import times
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.providers.guestconfiguration import GuestAssignments
from arcbed_cloud.providers.policy import rules, surroundings
from arcbed_cloud.providers.policy.catalogue import GUEST_TYPE
from arcbed_cloud.providers.policy.deployment import Deployer
from arcbed_cloud.providers.policy.expressions import ExpressionError, Function, evaluate
from arcbed_cloud.providers.policy.functions import PLAIN, text
from arcbed_cloud.providers.policy.library import Library, Member, reader
from arcbed_cloud.providers.policy.states import COMPLIANT, ERROR, EXEMPT, NON_COMPLIANT, States
from arcbed_cloud.store.contract import Document, Row, Unit

MACHINES = "microsoft.hybridcompute/machines"
_APPLICABILITY = frozenset({"type", "name", "kind"})
_IF_NOT_EXISTS = ("auditifnotexists", "deployifnotexists")

_log = structlog.get_logger(__name__)


class Occasion(Enum):
    """Why an evaluation runs."""

    ASSIGNED = "the policy assignment is new or was written again"
    SCAN = "the daily cycle, or a client's wish"
    CHANGE = "the machine was created or changed in ARM"
    REPORT = "a guest assignment of the machine changed: nothing new is made"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of a resource; `found` are the related resources that were looked at."""

    applies: bool
    effect: str = ""
    state: str = COMPLIANT
    name: str | None = None
    found: tuple[Row, ...] = ()


class Evaluator:
    """Evaluates, writes states, makes guest assignments."""

    def __init__(
        self, context: ProviderContext, library: Library, states: States, guests: GuestAssignments
    ) -> None:
        self._store = context.plane.store
        self._clock = context.plane.clock
        self._tenant = context.directory
        self._library = library
        self._states = states
        self._guests = guests
        self._deployer = Deployer(context, guests)

    def effect(self, member: Member) -> str:
        """The effect in lower case, with the parameters of the assignment."""
        given = {**PLAIN, "parameters": reader(member.parameters)}
        return str(evaluate(member.rule["then"]["effect"], given)).lower()

    def evaluate(self, unit: Unit, machine: Row, assignment: Document, occasion: Occasion) -> None:
        """Evaluate every definition of an assignment on a machine.

        Args:
            unit: where states and guest assignments are written.
            machine: a row of kind `MACHINES` in the assignment's scope.
            assignment: the policy assignment's document.
            occasion: why.
        """
        for member in self._library.members(assignment):
            self._safely(unit, machine, member, occasion)

    def report(self, unit: Unit, machine: Row, assignment: Document, names: frozenset[str]) -> None:
        """Evaluate again what depends on some guest assignments of a machine (names in lower case)."""
        for member in self._library.members(assignment):
            state = self._states.get(machine.key, member)
            if state is not None and (state["guestAssignment"] or "").lower() in names:
                self._safely(unit, machine, member, Occasion.REPORT)

    def forget(self, unit: Unit, assignment: Row) -> None:
        """Delete an assignment's states and the guest assignments that it made."""
        for row in self._states.of(assignment.key):
            state = row.document
            name = state["guestAssignment"]
            if state["made"] and name and not self._shared(row, name, assignment.key):
                self._guests.remove(unit, state["resourceId"], name)
            unit.delete("resources", row.key)

    # -- one definition ------------------------------------------------------------------------------------

    def _safely(self, unit: Unit, machine: Row, member: Member, occasion: Occasion) -> None:
        """A rule that cannot be evaluated makes the state Error, as in Azure, and stops nothing else."""
        try:
            self._one(unit, machine, member, occasion)
        except (ExpressionError, rules.RuleError) as error:
            _log.warning("policy_not_evaluated", definition=member.definition["id"], why=str(error))
            found = {**_EMPTY, "effect": "", "complianceState": ERROR}
            self._states.write(unit, machine, member, found)

    def _one(self, unit: Unit, machine: Row, member: Member, occasion: Occasion) -> None:
        verdict = self.verdict(machine, member)
        if not verdict.applies:
            self._states.delete(unit, machine.key, member)
            return
        before = self._states.get(machine.key, member) or _EMPTY
        kept = {name: before[name] for name in _EMPTY}
        if self._library.exempt(machine.key, member, times.iso7(self._clock.now())):
            found = {**kept, "effect": verdict.effect, "complianceState": EXEMPT}
            self._states.write(unit, machine, member, found)
            return
        if verdict.name is not None and verdict.effect in _IF_NOT_EXISTS:
            verdict = self._guest(unit, machine, member, verdict, kept, occasion)
        found = {**kept, "effect": verdict.effect, "complianceState": verdict.state}
        self._states.write(unit, machine, member, found)

    def verdict(self, machine: Row, member: Member) -> Verdict:
        """What the rule says as things stand; writes nothing.

        Raises:
            ExpressionError: an expression of the rule cannot be evaluated.
        """
        document = machine.document
        functions = surroundings.of_rule(member, document, self._tenant.tenant_id)
        effect, condition = self.effect(member), member.rule["if"]
        if effect == "disabled":
            return Verdict(applies=False)
        if effect not in _IF_NOT_EXISTS:
            applies = rules.holds(condition, document, functions, only=_APPLICABILITY)
            bad = applies and rules.holds(condition, document, functions)
            return Verdict(applies, effect, NON_COMPLIANT if bad else COMPLIANT)
        if not rules.holds(condition, document, functions):
            return Verdict(applies=False)
        return self._existence(machine, member, effect, functions)

    def _existence(
        self, machine: Row, member: Member, effect: str, functions: Mapping[str, Function]
    ) -> Verdict:
        details = member.rule["then"]["details"]
        name = evaluate(details.get("name"), functions)
        found = tuple(self._related(machine, details["type"], name))
        exists = details.get("existenceCondition")
        good = any(exists is None or rules.holds(exists, row.document, functions) for row in found)
        guest = details["type"].lower() == GUEST_TYPE.lower()
        return Verdict(
            applies=True,
            effect=effect,
            state=COMPLIANT if good else NON_COMPLIANT,
            name=name if guest else None,
            found=found,
        )

    def _related(self, machine: Row, kind: str, name: Any) -> list[Row]:
        """Resources of a type below the machine (children, extension resources), by name if one is given."""
        rows = self._store.rows("resources", kind=kind.lower(), scope=machine.key)
        wanted = name.rsplit("/", 1)[-1].lower() if isinstance(name, str) else None
        return [row for row in rows if wanted is None or row.key.rsplit("/", 1)[-1] == wanted]

    # -- guest assignments ---------------------------------------------------------------------------------

    def _guest(
        self,
        unit: Unit,
        machine: Row,
        member: Member,
        verdict: Verdict,
        kept: Document,
        occasion: Occasion,
    ) -> Verdict:
        """Make, renew or deploy the guest assignment if the occasion calls for it; changes `kept`."""
        present = verdict.found[0] if verdict.found else None
        kept["guestAssignment"] = verdict.name
        known = kept["contacted"] and occasion is not Occasion.ASSIGNED
        kept["contacted"] = known or present is not None
        if verdict.state == COMPLIANT:
            kept["deployDue"] = False
            return verdict
        enforced = member.assignment["properties"]["enforcementMode"] == "Default"
        if verdict.effect == "deployifnotexists" and enforced and occasion is Occasion.CHANGE:
            kept["deployDue"] = True
        if occasion is not Occasion.REPORT and self._audit(unit, machine, member, verdict, kept, present):
            return verdict
        if kept["deployDue"] and (present is None or _audited(present)):
            kept["deployDue"] = False
            deployed = "error" not in self.deploy(unit, machine, member)
            kept["made"] = kept["made"] or deployed
        return verdict

    def _audit(
        self,
        unit: Unit,
        machine: Row,
        member: Member,
        verdict: Verdict,
        kept: Document,
        present: Row | None,
    ) -> bool:
        """Make the Audit assignment at first contact, or renew it if the policy's parameters have changed."""
        body = _audit_body(member)
        if body is None or (present is None and kept["contacted"]):
            return False
        if present is not None and not (
            kept["made"] and verdict.effect == "auditifnotexists" and _differs(present, body)
        ):
            return False
        try:
            self._guests.put(
                unit,
                machine.document["id"],
                str(verdict.name),
                body,
                policy_assignment_id=member.assignment["id"],
            )
        except ArmError as error:
            _log.warning("guest_assignment_refused", machine=machine.key, code=error.code, why=error.message)
            return False
        kept["contacted"] = kept["made"] = True
        return True

    def deploy(self, unit: Unit, machine: Row, member: Member) -> Document:
        """Deploy now; ``{"deploymentId", "error"?}``."""
        ended = self._deployer.deploy(unit, machine, member)
        if ended.error is not None:
            _log.warning("policy_deployment_failed", machine=machine.key, code=ended.error["code"])
            return {"deploymentId": ended.id, "error": ended.error}
        return {"deploymentId": ended.id}

    def mark_made(self, unit: Unit, machine: Row, member: Member) -> None:
        """A remediation has deployed: the guest assignment is policy's own."""
        before = self._states.get(machine.key, member)
        if before is not None:
            kept = {name: before[name] for name in (*_EMPTY, "effect", "complianceState")}
            self._states.write(unit, machine, member, {**kept, "made": True, "contacted": True})

    def _shared(self, row: Row, name: str, assignment_key: str) -> bool:
        """Does another policy assignment use the same guest assignment of the machine?"""
        return any(
            other.document["guestAssignment"] == name
            and other.document["policyAssignmentId"].lower() != assignment_key
            for other in self._states.on(row.scope)
        )


_EMPTY: Document = {"guestAssignment": None, "made": False, "contacted": False, "deployDue": False}


def _audited(present: Row) -> bool:
    """Has an audit come back at least once?"""
    return present.document["properties"].get("lastComplianceStatusChecked") is not None


def _audit_body(member: Member) -> Document | None:
    """The assignment that the service makes from ``metadata.guestConfiguration``; None without it."""
    given = member.metadata.get("guestConfiguration")
    if not isinstance(given, dict) or not given.get("name"):
        return None
    configuration: Document = {
        name: given[name] for name in ("name", "version", "contentUri", "contentHash") if given.get(name)
    }
    keys = given.get("configurationParameter") or {}
    read = reader(member.parameters)
    configuration["assignmentType"] = "Audit"
    configuration["configurationParameter"] = [
        {"name": key, "value": text(read(parameter))} for parameter, key in keys.items()
    ]
    return {"properties": {"context": "Azure policy", "guestConfiguration": configuration}}


def _differs(present: Row, body: Document) -> bool:
    wanted = body["properties"]["guestConfiguration"]
    shown = present.document["properties"]["guestConfiguration"]
    if shown["configurationParameter"] != wanted["configurationParameter"]:
        return True
    return any(shown.get(name) != wanted.get(name) for name in ("name", "version", "contentUri"))
