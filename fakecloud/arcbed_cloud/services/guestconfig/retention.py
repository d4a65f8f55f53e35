"""Fourteen days: what becomes of the assignments of a machine that has been silent for longer.

``docs/wire.md``, section 11.4. Silence is the time since the machine's last pull, less this service's own
outages. At the first pull after too long a silence the assignments that the machine had been given are
marked: left out of its answers until somebody puts them anew. With ``armOnExpiry=delete`` they are deleted
from ARM as soon as the time is over, and a tombstone in the machine's row of ``pulls`` takes the place of the
mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from arcbed_cloud.arm import times
from arcbed_cloud.arm.activity import ActivityLog
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.guestconfiguration import GuestAssignments
from arcbed_cloud.providers.guestconfiguration.assignments import PENDING, TYPE
from arcbed_cloud.providers.guestconfiguration.contacts import TABLE
from arcbed_cloud.providers.hybridcompute import Machines
from arcbed_cloud.providers.hybridcompute.liveness import moment
from arcbed_cloud.services.guestconfig.outages import Outages
from arcbed_cloud.store.contract import Change, Document, Row, Unit

# Exactly the retention is inside; the first second after it is not.
PAST = timedelta(seconds=1)
SERVICE = "Microsoft.GuestConfiguration"
# A pull period may be this much longer than it is.
SPREAD = 1.1


class Retention:
    """Marks and sweeps."""

    def __init__(
        self, plane: Plane, machines: Machines, assignments: GuestAssignments, activity: ActivityLog
    ) -> None:
        self._plane = plane
        self._machines = machines
        self._assignments = assignments
        self._activity = activity
        self.outages = Outages(plane)
        if plane.settings.arm_on_expiry == "delete":
            plane.store.subscribe(self._changed)

    async def begin(self) -> None:
        """The service is there from now on."""
        await self.outages.begin()
        if self._plane.settings.arm_on_expiry == "delete":
            self._changed([Change(TABLE, row.key, row) for row in self._plane.store.rows(TABLE)])

    def over(self, known: Document, now: float) -> bool:
        """True if a machine has been silent for longer than assignments are kept.

        Args:
            known: its row of ``pulls``.
            now: epoch seconds of the bed's clock.
        """
        last = known["lastPull"]
        if last is None:
            return False
        silence: float = now - last - self.outages.between(last, now)
        return silence > self._plane.settings.retention_seconds

    def lose(self, unit: Unit, machine: Row, known: Document) -> frozenset[str]:
        """Take from a machine what it had been given before too long a silence; keys of those assignments.

        They are marked, or deleted from ARM where that is what expiry does.
        """
        given = self._given(machine, known)
        if self._plane.settings.arm_on_expiry == "delete":
            for row in given:
                self._bury(unit, machine, row)
        elif self._plane.settings.reassign_after_expiry:
            return frozenset()
        elif given:
            for row in given:
                self._mark(unit, row)
            self._assignments.contacts.changed(unit, machine)
        return frozenset(row.key for row in given)

    def _mark(self, unit: Unit, row: Row) -> None:
        document = row.document
        properties = {**document["properties"], "complianceStatus": PENDING}
        agent = {**document["agent"], "dropped": times.iso7(self._plane.clock.now())}
        self._assignments.keep(unit, {**document, "properties": properties, "agent": agent})

    def _given(self, machine: Row, known: Document) -> list[Row]:
        """Assignments whose current version the machine has, and has not lost yet."""
        issued = known["issued"]
        return [
            row
            for row in self._assignments.on(machine.key)
            if row.document["agent"]["dropped"] is None
            and row.document["agent"]["itemGeneration"] <= issued.get(row.document["name"].lower(), 0)
        ]

    # -- armOnExpiry=delete --------------------------------------------------------------------------------

    def _changed(self, changes: Sequence[Change]) -> None:
        clock = self._plane.clock
        for change in changes:
            if change.table != TABLE:
                continue
            if change.row is None:
                clock.cancel(_timer(change.key))
            elif clock.due(_timer(change.key)) is None:
                self._watch(change.key, change.row)

    def _watch(self, vm_id: str, row: Row) -> None:
        """A timer is set once and looks at the facts when it fires, so that a pull costs none."""
        last, issued = row.document["lastPull"], row.document["issued"]
        if last is None or not issued:
            return
        kept = timedelta(seconds=self._plane.settings.retention_seconds) + PAST
        now = self._plane.clock.now()
        missed = timedelta(seconds=self.outages.between(last, now.timestamp()))
        first = moment(self.outages.since + self._plane.settings.pull_seconds * SPREAD)
        due = max(moment(last) + kept + missed, first)
        self._plane.clock.call_at(due, _timer(vm_id), lambda: self._sweep(vm_id))

    async def _sweep(self, vm_id: str) -> None:
        row = self._plane.store.get(TABLE, vm_id)
        machine = self._machines.by_vm_id(vm_id)
        if row is None or machine is None:
            return
        if not self.over(row.document, self._plane.clock.now().timestamp()):
            self._watch(vm_id, row)
            return
        async with self._plane.store.unit() as unit:
            self.lose(unit, machine, row.document)

    def _bury(self, unit: Unit, machine: Row, assignment: Row) -> None:
        document = assignment.document
        self._assignments.remove(unit, machine.key, document["name"])
        if not self._plane.settings.reassign_after_expiry:
            self._assignments.contacts.bury(
                unit,
                machine,
                document["name"],
                at=times.iso7(self._plane.clock.now()),
                policy_assignment_id=document["agent"].get("policyAssignmentId"),
            )
        self._activity.by_service(unit, resource_id=document["id"], action=f"{TYPE}/delete", service=SERVICE)


def _timer(vm_id: str) -> str:
    return f"{vm_id}/gas/retention"
