"""The work of remediation tasks: on the bed's clock, as the identity of the policy assignment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from arcbed_cloud.arm import times
from arcbed_cloud.arm.access import within
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.providers.policy.evaluation import Evaluator
from arcbed_cloud.providers.policy.library import Library, Member
from arcbed_cloud.providers.policy.schedule import Schedule
from arcbed_cloud.providers.policy.states import NON_COMPLIANT, States
from arcbed_cloud.store.contract import Change, Document, Row, Unit

TYPE = "Microsoft.PolicyInsights/remediations"
KIND = TYPE.lower()
AFTER = timedelta(seconds=5)
ENDED = frozenset({"Succeeded", "Failed", "Canceled"})


class Remediator:
    """Starts tasks when they are due, and keeps what comes of them."""

    def __init__(
        self,
        context: ProviderContext,
        library: Library,
        states: States,
        evaluator: Evaluator,
        schedule: Schedule,
    ) -> None:
        self._store = context.plane.store
        self._clock = context.plane.clock
        self._library = library
        self._states = states
        self._evaluator = evaluator
        self._schedule = schedule
        self._started = False
        self._store.subscribe(self._changed)

    def start(self) -> None:
        """Take up what an earlier process left."""
        self._started = True
        for row in self._store.rows("resources", kind=KIND):
            self._watch(row)

    def stop(self) -> None:
        """Set no more timers."""
        self._started = False

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if not self._started or f"/providers/{KIND}/" not in change.key:
                continue
            if change.row is None:
                self._clock.cancel(_timer(change.key))
            elif change.row.kind == KIND:
                self._watch(change.row)

    def _watch(self, row: Row) -> None:
        timer = _timer(row.key)
        if state_of(row) in ENDED:
            self._clock.cancel(timer)
        else:
            self._clock.call_at(times.read(row.document["due"]), timer, lambda: self._run(row.key))

    async def _run(self, key: str) -> None:
        row = self._store.get("resources", key)
        if row is None or state_of(row) in ENDED:
            return
        properties = row.document["properties"]
        if properties["resourceDiscoveryMode"] == "ReEvaluateCompliance":
            await self._schedule.scan(row.scope)
        async with self._store.unit() as unit:
            assignment = self._library.assignment(properties["policyAssignmentId"])
            try:
                if assignment is None:
                    raise invalid("The policy assignment has been deleted.")
                member = self.member(assignment.document, properties.get("policyDefinitionReferenceId"))
                made = self._deploy(unit, row, member)
                failed = [one for one in made if one["status"] == "Failed"]
                limit = (properties["failureThreshold"]["percentage"] or 0) * len(made)
                state = (
                    "Failed" if len(failed) > limit or (failed and len(failed) == len(made)) else "Succeeded"
                )
                write(unit, self.ended(row.document, state, made))
            except ArmError as error:
                write(unit, self.ended(row.document, "Failed", [], error.message))

    def _deploy(self, unit: Unit, row: Row, member: Member) -> list[Document]:
        now = times.iso7(self._clock.now())
        found: list[Document] = []
        for machine in self._machines(row, member):
            ended = self._evaluator.deploy(unit, machine, member)
            if "error" not in ended:
                self._evaluator.mark_made(unit, machine, member)
            found.append(
                {
                    "remediatedResourceId": machine.document["id"],
                    **ended,
                    "status": "Failed" if "error" in ended else "Succeeded",
                    "resourceLocation": machine.document["location"],
                    "createdOn": now,
                    "lastUpdatedOn": now,
                }
            )
        return found

    def _machines(self, row: Row, member: Member) -> list[Row]:
        """What is not compliant at or below the scope, in the regions of the filter."""
        properties = row.document["properties"]
        places = properties["filters"]["locations"]
        found: list[Row] = []
        for state in self._states.of(member.assignment["id"]):
            document = state.document
            if (
                document["complianceState"] != NON_COMPLIANT
                or document["policyDefinitionReferenceId"] != member.reference
                or not within(state.scope, row.scope)
            ):
                continue
            machine = self._store.get("resources", state.scope)
            if machine is not None and (not places or machine.document["location"] in places):
                found.append(machine)
        return found[: properties["resourceCount"]]

    def member(self, assignment: Document, reference: Any) -> Member:
        """The definition that a task deploys.

        Raises:
            ArmError: 400 InvalidCreateRemediationRequest.
        """
        members = list(self._library.members(assignment))
        if self._library.initiative(assignment["properties"]["policyDefinitionId"]) is None:
            if members:
                return members[0]
            raise invalid("The assigned policy definition does not exist any more.")
        if not isinstance(reference, str) or not reference:
            raise invalid(
                "'policyDefinitionReferenceId' is required, for the assignment assigns an initiative."
            )
        for member in members:
            if member.reference.lower() == reference.lower():
                return member
        raise invalid(f"The initiative has no member '{reference}'.")

    def ended(
        self, document: Document, state: str, made: list[Document], message: str | None = None
    ) -> Document:
        """The document of a task that ends in `state` after the deployments `made`."""
        properties = {
            **document["properties"],
            "provisioningState": state,
            "lastUpdatedOn": times.iso7(self._clock.now()),
            "deploymentStatus": counted(made),
            "statusMessage": message,
        }
        return {**document, "properties": properties, "deployments": made}


def write(unit: Unit, document: Document) -> None:
    """Store a task's document."""
    key: str = document["id"].lower()
    unit.put("resources", key, document, kind=KIND, scope=key.rpartition("/providers/")[0])


def state_of(row: Row) -> str:
    """``provisioningState``."""
    state: str = row.document["properties"]["provisioningState"]
    return state


def counted(made: list[Document]) -> Document:
    """``deploymentStatus``."""
    failed = sum(one["status"] == "Failed" for one in made)
    return {
        "totalDeployments": len(made),
        "successfulDeployments": len(made) - failed,
        "failedDeployments": failed,
    }


def _timer(key: str) -> str:
    return f"policy/remediation/{key}"


def invalid(why: str, what: str = "Create") -> ArmError:
    """400 for what a task cannot be or do."""
    return ArmError(
        400,
        f"Invalid{what}RemediationRequest",
        f"The request to {what.lower()} the remediation is invalid. {why}",
    )
