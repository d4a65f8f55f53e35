"""The guest configuration agent service: pulls and reports. No HTTP; ``docs/wire.md``, section 11."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from arcbed_cloud.arm.activity import ActivityLog
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.guestconfiguration import GuestAssignments, Reports
from arcbed_cloud.providers.hybridcompute import Extensions, Machines
from arcbed_cloud.services.blob import Blob, BlobStore
from arcbed_cloud.services.guestconfig import findings
from arcbed_cloud.services.guestconfig.extension_reports import ExtensionReports
from arcbed_cloud.services.guestconfig.goal_states import GoalStates
from arcbed_cloud.services.guestconfig.limits import Rate
from arcbed_cloud.services.guestconfig.pulls import Pulls
from arcbed_cloud.services.guestconfig.retention import Retention
from arcbed_cloud.services.his import HisService
from arcbed_cloud.services.his.errors import HisError, invalid_request
from arcbed_cloud.store.contract import Row

_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a report: `new` or seen before, and whether ARM shows it."""

    new: bool
    applied: bool


class AgentService:
    """All of the service's domain.

    Args:
        plane: clock and state.
        his: who a machine is.
        machines: all of them.
        assignments: ARM's.
        reports: ARM's.
        activity: where it is written down what the service does by itself.
        extensions: ARM's.
    """

    def __init__(
        self,
        plane: Plane,
        his: HisService,
        machines: Machines,
        assignments: GuestAssignments,
        reports: Reports,
        activity: ActivityLog,
        extensions: Extensions,
    ) -> None:
        self.plane = plane
        self._his = his
        self._assignments = assignments
        self._reports = reports
        self.blobs = BlobStore(plane.settings.state)
        self.pull_rate = Rate(plane, "pulls", seconds=10, burst=5)
        self.report_rate = Rate(plane, "reports", seconds=2, burst=10)
        self.retention = Retention(plane, machines, assignments, activity)
        self.pulls = Pulls(plane, assignments, self.retention)
        self.goal_states = GoalStates(plane, extensions)
        self.extension_reports = ExtensionReports(plane, extensions)

    async def startup(self) -> None:
        """The service is there from now on."""
        await self.retention.begin()

    async def shutdown(self) -> None:
        """The service is there until now."""
        await self.retention.outages.end()

    def machine(self, vm_id: str, token: str) -> Row:
        """The machine with this vmId, if it is the one that the token speaks for.

        Raises:
            HisError: 404 MachineNotFound, 401 InvalidToken or TokenExpired, 403 MachineMismatch or
                IdentityExpired.
        """
        machine = self._his.machine(vm_id)
        self._his.check_caller(machine, self._his.caller(token))
        if self._his.identities.expired(vm_id):
            raise HisError(403, "IdentityExpired", "The machine's identity has expired.")
        return machine

    def package(self, machine: Row, sha256: str) -> Blob:
        """The package of one of a machine's assignments, by its digest in hex.

        Raises:
            HisError: 404 NotFound, also for content that is not on this bed's storage.
        """
        wanted = sha256.upper()
        configurations = (
            row.document["properties"]["guestConfiguration"]
            for row in self._assignments.on(machine.key)
            if row.document["agent"]["dropped"] is None
        )
        known = any((entry["contentHash"] or "").upper() == wanted for entry in configurations)
        blob = self.blobs.by_sha256(sha256) if known else None
        if blob is None:
            raise HisError(404, "NotFound", f"There is no package '{sha256}' for this machine.", sha256)
        return blob

    async def report(self, machine: Row, name: str, report_id: str, body: bytes) -> Taken:
        """Take a report; it is on disk before this returns.

        Raises:
            HisError: 404 AssignmentNotFound, 400 InvalidRequest, 409 ReportConflict.
        """
        if not _GUID.fullmatch(report_id):
            raise invalid_request("The report id in the path is no GUID.", "reportId")
        async with self.plane.store.unit() as unit:
            assignment = self._assignments.get(machine.key, name)
            if assignment is None:
                raise HisError(404, "AssignmentNotFound", f"There is no assignment '{name}'.", name)
            finding = findings.read(body, name)
            digest = hashlib.sha256(body).hexdigest()
            before = self._reports.get(assignment.key, report_id)
            if before is not None:
                if before.document["digest"] != digest:
                    raise HisError(409, "ReportConflict", "Another report has this id.", report_id)
                return Taken(new=False, applied=before.document["applied"])
            applied = self._reports.add(unit, machine, assignment, report_id, finding, digest)
        return Taken(new=True, applied=applied)
