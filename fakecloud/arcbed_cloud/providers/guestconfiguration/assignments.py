"""Guest assignments: one configuration on one machine. No HTTP here.

Rows of the table ``resources`` with kind `KIND`; the key is the ARM id in lower case, the scope the machine's
key. Beside ARM's members a row has ``agent``, which no answer of ARM shows: ``itemGeneration`` (one more with
each PUT, an identical one too), ``dropped`` (when the assignment was left out for long silence, or None),
``protectedSettings`` (the protected parameters), ``reported`` (``seq`` and ``endTime`` of the newest report
of this itemGeneration, or None), ``policyAssignmentId`` and ``resolvedVersion`` (of built-in content).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.ids import parse
from arcbed_cloud.providers.guestconfiguration import bodies
from arcbed_cloud.providers.guestconfiguration.builtin import content_of
from arcbed_cloud.providers.guestconfiguration.contacts import Contacts
from arcbed_cloud.providers.guestconfiguration.hashes import (
    assignment_hash,
    parameter_hash,
    parameter_text,
)
from arcbed_cloud.services.blob import BlobStore
from arcbed_cloud.store.contract import Document, Row, Unit, latest

TYPE = "Microsoft.GuestConfiguration/guestConfigurationAssignments"
KIND = TYPE.lower()
MACHINES = "microsoft.hybridcompute/machines"
PER_MACHINE = 50
PENDING = "Pending"


class GuestAssignments:
    """All guest assignments of the bed."""

    def __init__(self, context: ProviderContext) -> None:
        self._store = context.plane.store
        self.contacts = Contacts(self._store)
        self._blobs = BlobStore(context.plane.settings.state)

    # -- reading -------------------------------------------------------------------------------------------

    def get(self, machine_id: str, name: str) -> Row | None:
        """The assignment of this name on a machine; both in any case."""
        return self._store.get("resources", key_of(machine_id, name))

    def on(self, machine_id: str) -> Sequence[Row]:
        """All assignments of a machine, by name."""
        return self._store.rows("resources", kind=KIND, scope=machine_id.lower())

    def lost(self, machine_id: str, name: str) -> bool:
        """True if the machine lost the assignment by long silence, and nobody has put it anew since.

        Nothing automatic may put it: only a person, or a remediation.
        """
        row = self.get(machine_id, name)
        if row is not None:
            return row.document["agent"]["dropped"] is not None
        machine = self._store.get("resources", machine_id.lower())
        return (
            machine is not None
            and machine.kind == MACHINES
            and name.lower() in self.contacts.of(machine)["buried"]
        )

    # -- writing -------------------------------------------------------------------------------------------

    def put(
        self,
        unit: Unit,
        machine_id: str,
        name: str,
        body: Mapping[str, Any],
        *,
        policy_assignment_id: str | None = None,
    ) -> Row:
        """Create or replace an assignment. Any PUT makes it Pending and clears the mark of a dropped one.

        Args:
            unit: where it is written.
            machine_id: ARM id of the machine, in any case.
            name: of the assignment.
            body: ``location``, ``properties`` with ``context`` and ``guestConfiguration``.
            policy_assignment_id: the policy assignment that wants it, if one does.

        Returns:
            The row as it will be.

        Raises:
            ArmError: 400 InvalidRequestContent, or 409 ResourceQuotaExceeded for the 51st.
        """
        given = bodies.read(body)
        resolved = self._resolve(given)
        key = key_of(machine_id, name)
        machine = self._machine(unit, machine_id)
        before = latest(self._store, unit, "resources", key)
        if before is None:
            self._check_quota(unit, machine_id)
        document = self._document(machine_id, name, machine, given, before)
        document["agent"] = {
            "itemGeneration": self._next(unit, machine, name, before),
            "dropped": None,
            "protectedSettings": given.protected,
            "reported": None,
            "policyAssignmentId": policy_assignment_id,
            "resolvedVersion": resolved,
        }
        if machine is not None:
            self.contacts.changed(unit, machine, put=name)
        return self.keep(unit, document)

    def remove(self, unit: Unit, machine_id: str, name: str) -> None:
        """Delete an assignment with its reports; a missing one is fine."""
        row = latest(self._store, unit, "resources", key_of(machine_id, name))
        if row is not None:
            self.forget(unit, row)
            unit.delete("resources", row.key)

    def forget(self, unit: Unit, row: Row) -> None:
        """What goes with an assignment: its reports, and its place in the machine's pulls."""
        for report in self._store.rows("reports", scope=row.key):
            unit.delete("reports", report.key)
        machine = self._machine(unit, row.scope)
        if machine is not None:
            number = row.document["agent"]["itemGeneration"]
            self.contacts.changed(unit, machine, gone=(row.document["name"], number))

    def keep(self, unit: Unit, document: Document) -> Row:
        """Write an assignment's document."""
        key: str = document["id"].lower()
        unit.put("resources", key, document, kind=KIND, scope=key.rpartition(f"/providers/{KIND}/")[0])
        row = unit.changes[-1].row
        assert row is not None  # noqa: S101 - what was put just now
        return row

    def _resolve(self, given: bodies.AssignmentBody) -> str | None:
        """Fill in the content of a built-in configuration, if the bed has it; its version."""
        configuration = given.configuration
        if configuration["contentUri"]:
            return None
        found = content_of(self._blobs, configuration["name"], configuration["version"])
        if found is None:
            return None
        configuration["contentUri"], configuration["contentHash"] = found.uri, found.sha256
        configuration["contentType"] = "Builtin"
        return found.version

    # -- parts ---------------------------------------------------------------------------------------------

    def _machine(self, unit: Unit, machine_id: str) -> Row | None:
        row = latest(self._store, unit, "resources", machine_id.lower())
        return row if row is not None and row.kind == MACHINES else None

    def _next(self, unit: Unit, machine: Row | None, name: str, before: Row | None) -> int:
        if before is not None:
            return int(before.document["agent"]["itemGeneration"]) + 1
        gone = self.contacts.of(machine, unit)["gone"] if machine is not None else {}
        return int(gone.get(name.lower(), 0)) + 1

    def _document(
        self,
        machine_id: str,
        name: str,
        machine: Row | None,
        given: bodies.AssignmentBody,
        before: Row | None,
    ) -> Document:
        parent = machine.document["id"] if machine is not None else machine_id
        place = machine.document["location"] if machine is not None else None
        text = parameter_text(given.parameters)
        kept = before.document["properties"] if before is not None else {}
        return {
            "id": before.document["id"] if before is not None else f"{parent}/providers/{TYPE}/{name}",
            "name": before.document["name"] if before is not None else name,
            "type": TYPE,
            "location": given.location or place,
            "properties": {
                "targetResourceId": parent,
                "guestConfiguration": _configuration(given),
                "complianceStatus": PENDING,
                "lastComplianceStatusChecked": kept.get("lastComplianceStatusChecked"),
                "latestReportId": kept.get("latestReportId"),
                "parameterHash": parameter_hash(text),
                "context": given.context,
                "assignmentHash": assignment_hash(given.configuration["contentHash"], text),
                "provisioningState": "Succeeded",
                "resourceType": parse(parent).type,
                "vmssVMList": None,
            },
        }

    def _check_quota(self, unit: Unit, machine_id: str) -> None:
        keys = {row.key for row in self.on(machine_id)}
        prefix = key_of(machine_id, "")
        for change in unit.changes:
            if change.table == "resources" and change.key.startswith(prefix):
                (keys.discard if change.row is None else keys.add)(change.key)
        if len(keys) >= PER_MACHINE:
            raise ArmError(
                409,
                "ResourceQuotaExceeded",
                f"A machine can have {PER_MACHINE} guest configuration assignments; "
                f"'{machine_id}' has {len(keys)}.",
                cause="service",
            )


def key_of(machine_id: str, name: str) -> str:
    """The key of an assignment's row."""
    return f"{machine_id}/providers/{KIND}/{name}".lower()


def _configuration(given: bodies.AssignmentBody) -> Document:
    """``guestConfiguration`` as ARM shows it; what is not known is null, as in recorded answers."""
    texts = given.configuration
    kind = texts["assignmentType"]
    return {
        "kind": texts["kind"],
        "name": texts["name"],
        "version": texts["version"],
        "contentUri": texts["contentUri"],
        "contentHash": texts["contentHash"],
        "contentType": texts.get("contentType") or ("Custom" if texts["contentUri"] else "Builtin"),
        "contentManagedIdentity": texts["contentManagedIdentity"],
        "assignmentType": kind,
        "assignmentSource": None,
        "configurationParameter": given.parameters,
        "configurationProtectedParameter": [
            {"name": entry["name"], "value": None} for entry in given.protected
        ],
        "configurationSetting": {
            "configurationMode": bodies.MODES[kind or "Audit"],
            "allowModuleOverwrite": False,
            "actionAfterReboot": "ContinueConfiguration",
            "refreshFrequencyMins": 5,
            "rebootIfNeeded": False,
            "configurationModeFrequencyMins": 15,
        },
    }
