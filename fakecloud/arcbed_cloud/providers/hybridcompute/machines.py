"""Machines: their documents, their identities, and what the agent's reports make of them. No HTTP here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arcbed_cloud.arm import validation
from arcbed_cloud.arm.ids import ResourceId, group_id
from arcbed_cloud.arm.request import Caller
from arcbed_cloud.arm.table import OnDelete
from arcbed_cloud.arm.times import iso7
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.hybridcompute import bodies, errors, members
from arcbed_cloud.providers.hybridcompute.bodies import MachineBody
from arcbed_cloud.providers.hybridcompute.liveness import Liveness
from arcbed_cloud.providers.hybridcompute.manifest import MACHINE_TYPE
from arcbed_cloud.services.entra.directory import Directory
from arcbed_cloud.store import Change, Row, Unit
from arcbed_cloud.store.contract import Document

TYPE = MACHINE_TYPE.type
KIND = TYPE.lower()
EXTENSIONS = f"{KIND}/extensions"
AWAITING = "AwaitingConnection"
_AUTHORS = {"User": "User", "ManagedIdentity": "ManagedIdentity"}
_REPORTED_BESIDES = (
    "agentVersion",
    "serviceStatuses",
    "agentConfiguration",
    "clientPublicKey",
    "identityKeyStore",
)


class Machines:
    """All machines of the bed.

    Rows of table ``resources`` with kind ``microsoft.hybridcompute/machines``, in the newest version's shape.
    `clientPublicKey` is the key that proofs of possession are checked with.
    """

    def __init__(self, plane: Plane, directory: Directory) -> None:
        self._plane = plane
        self._store = plane.store
        self._directory = directory
        self._key_by_vm: dict[str, str] = {}
        self._vm_by_key: dict[str, str] = {}
        #: Called with the unit and each child of a machine that is deleted.
        self.farewells: list[OnDelete] = []
        plane.store.subscribe(self._changed)
        for row in plane.store.rows("resources", kind=KIND):
            self._learn(row.key, row)
        self.liveness = Liveness(plane, self)

    # -- reading -------------------------------------------------------------------------------------------

    def get(self, key: str) -> Row | None:
        """The machine with this ARM id in lower case."""
        row = self._store.get("resources", key)
        return row if row is not None and row.kind == KIND else None

    def by_vm_id(self, vm_id: str) -> Row | None:
        """The machine with this ``properties.vmId``."""
        key = self._key_by_vm.get(vm_id.lower())
        return self._store.get("resources", key) if key is not None else None

    def extensions(self, key: str) -> Sequence[Row]:
        """The extension rows of a machine."""
        return self._store.rows("resources", kind=EXTENSIONS, scope=key)

    # -- what clients write --------------------------------------------------------------------------------

    async def put(self, target: ResourceId, body: Document, version: str, caller: Caller) -> Row:
        """Create a machine, or change the writable members that `body` gives; absent ones keep their values.

        Args:
            target: the machine's id as the client spelled it.
            body: ``location``, ``tags``, ``identity``, ``kind``, ``properties``.
            version: members that this api-version does not know are ignored.
            caller: goes into ``systemData``.

        Raises:
            ArmError: HCRP400 for a missing or unusable vmId or key, HCRP409 if the name or the vmId is
                another machine's, ResourceQuotaExceeded, or what `arm.validation` finds.
        """
        given = bodies.read(body, members.WRITABLE, target, version)
        async with self._store.unit() as unit:
            before = self.get(target.key)
            if before is None:
                document = self._born(unit, target, given, caller)
            else:
                document = dict(before.document)
                self._check_same(document, given, target)
                self._rekey(unit, document, given, target)
                self._amend(unit, document, given, caller)
            document["properties"] = members.merged(document["properties"], given.properties)
            return self._write(unit, document)

    async def patch(self, target: ResourceId, body: Document, version: str, caller: Caller) -> Row | None:
        """Change what PATCH may change: tags (as a whole), identity, kind and `members.PATCHABLE`.

        Returns:
            The machine, or None if there is none.

        Raises:
            ArmError: HCRP400, or what `arm.validation` finds.
        """
        given = bodies.read(body, members.PATCHABLE, target, version)
        async with self._store.unit() as unit:
            before = self.get(target.key)
            if before is None:
                return None
            document = dict(before.document)
            self._amend(unit, document, given, caller)
            document["properties"] = members.merged(document["properties"], given.properties)
            return self._write(unit, document)

    async def delete(self, key: str) -> bool:
        """Delete a machine with its identity; False if there is none."""
        async with self._store.unit() as unit:
            row = self.get(key)
            if row is None:
                return False
            self.drop(unit, row)
        return True

    def drop(self, unit: Unit, row: Row) -> None:
        """Delete a machine's row, its children with their reports, and what `forget` removes."""
        self.forget(unit, row)
        for child in self._store.rows("resources", scope=row.key):
            for report in self._store.rows("reports", scope=child.key):
                unit.delete("reports", report.key)
            for farewell in self.farewells:
                farewell(unit, child)
            unit.delete("resources", child.key)
        unit.delete("resources", row.key)

    def forget(self, unit: Unit, row: Row) -> None:
        """Remove a machine's principal with its certificates, and its heartbeat, identity and pull rows."""
        if principal := row.document.get("identity", {}).get("principalId"):
            self._directory.remove(unit, principal)
        unit.delete("goals", row.key)
        self._forget_connection(unit, row.document["properties"]["vmId"])

    def mark_deleting(self, unit: Unit, row: Row) -> None:
        """From now on the agent is told that the machine is gone."""
        properties = {**row.document["properties"], "provisioningState": "Deleting"}
        self._write(unit, {**row.document, "properties": properties})

    # -- what the agent reports ----------------------------------------------------------------------------

    def report(self, unit: Unit, row: Row, report: Mapping[str, Any]) -> None:
        """Take over what a heartbeat says; nothing is written if nothing changed.

        Args:
            unit: the heartbeat's unit.
            row: the machine.
            report: ``agentVersion``, ``status``, ``errorDetails``, ``serviceStatuses``,
                ``agentConfiguration``, ``metadata`` (already chosen by `members.REPORTED`),
                ``clientPublicKey``, ``identityKeyStore``, ``agentUpgrade`` (how the newest attempt ended),
                each if it was sent.
        """
        before = row.document["properties"]
        properties = dict(before)
        if (metadata := report.get("metadata")) is not None:
            for name in members.REPORTED.keys() - members.SHARED:
                properties.pop(name, None)
            properties = members.merged(properties, metadata)
        for name in _REPORTED_BESIDES:
            if report.get(name) is not None:
                properties[name] = report[name]
        if (upgrade := report.get("agentUpgrade")) is not None:
            properties["agentUpgrade"] = {**(before.get("agentUpgrade") or {}), **upgrade}
        if "status" in report:
            self._set_status(properties, report["status"])
            properties["errorDetails"] = report.get("errorDetails") or []
            properties["provisioningState"] = "Succeeded"
        if properties != before:
            self._write(unit, {**row.document, "properties": properties})

    def set_status(self, unit: Unit, row: Row, status: str) -> None:
        """Move a machine to another status, with the time of the change."""
        properties = dict(row.document["properties"])
        if self._set_status(properties, status):
            self._write(unit, {**row.document, "properties": properties})

    def set_status_reason(self, unit: Unit, row: Row, reason: str | None) -> None:
        """``Cloned``, or None to take it away."""
        properties = members.merged(row.document["properties"], {"statusReason": reason})
        if properties != row.document["properties"]:
            self._write(unit, {**row.document, "properties": properties})

    def _set_status(self, properties: Document, status: str) -> bool:
        if properties.get("status") == status:
            return False
        properties["status"] = status
        properties["lastStatusChange"] = iso7(self._plane.clock.now())
        return True

    # -- parts of a write ----------------------------------------------------------------------------------

    def _born(self, unit: Unit, target: ResourceId, given: MachineBody, caller: Caller) -> Document:
        validation.resource_name(target.name, MACHINE_TYPE)
        location = validation.location(given.location, MACHINE_TYPE)
        if given.vm_id is None:
            raise errors.insufficient("VmId", target)
        self._check_quota(target)
        self._check_vm_id_free(given.vm_id, target)
        properties: Document = {"provisioningState": "Creating", "vmId": given.vm_id}
        if given.public_key is not None:
            properties["clientPublicKey"] = given.public_key
        if given.public_key is None or given.kind is not None:
            # Made ahead of the agent: by hand, or by the service behind a `kind` such as VMware.
            properties["status"] = AWAITING
        modified = self._modified(caller)
        document: Document = {
            "id": self._official_id(target),
            "name": target.name,
            "type": TYPE,
            "location": location,
            "tags": given.tags or {},
            "properties": properties,
            "systemData": {name.replace("lastModified", "created"): text for name, text in modified.items()}
            | modified,
        }
        if given.kind is not None:
            document["kind"] = given.kind
        self._set_identity(unit, document, given.identity)
        return document

    def _amend(self, unit: Unit, document: Document, given: MachineBody, caller: Caller) -> None:
        if given.tags is not None:
            document["tags"] = given.tags
        if given.kind is not None:
            document["kind"] = given.kind
        self._set_identity(unit, document, given.identity)
        document["systemData"] = {**document["systemData"], **self._modified(caller)}

    def _rekey(self, unit: Unit, document: Document, given: MachineBody, target: ResourceId) -> None:
        """Compare vmId and key with the stored ones; a machine that awaits its agent may get new ones."""
        stored = document["properties"]
        vm_id = given.vm_id or stored["vmId"]
        key = given.public_key or stored.get("clientPublicKey")
        other_vm = vm_id.lower() != stored["vmId"].lower()
        if not other_vm and key == stored.get("clientPublicKey"):
            return
        awaiting = stored.get("status") == AWAITING
        if not (awaiting or self._plane.settings.allow_rekey):
            raise errors.conflict(
                f"The machine '{document['name']}' already exists with another vmId or clientPublicKey. "
                "Delete the resource or choose another name.",
                target,
            )
        if other_vm:
            self._check_vm_id_free(vm_id, target)
        unit.delete("goals", target.key)
        self._forget_connection(unit, stored["vmId"])
        if principal := document.get("identity", {}).get("principalId"):
            self._directory.remove_certificates(unit, principal)
        fresh = {**stored, "vmId": vm_id, "provisioningState": "Creating"}
        if key is not None:
            fresh["clientPublicKey"] = key
        if not awaiting:
            fresh.pop("status", None)
        document["properties"] = fresh

    def _forget_connection(self, unit: Unit, vm_id: str) -> None:
        unit.delete("pulls", vm_id.lower())
        unit.delete("heartbeats", vm_id.lower())
        unit.delete("identities", vm_id.lower())

    def _set_identity(self, unit: Unit, document: Document, wanted: bodies.IdentityType | None) -> None:
        principal = document.get("identity", {}).get("principalId")
        if wanted == "SystemAssigned" and principal is None:
            made = self._directory.add_machine(unit, name=document["name"], resource_id=document["id"])
            document["identity"] = {
                "type": "SystemAssigned",
                "principalId": made.object_id,
                "tenantId": made.tenant_id,
            }
        elif wanted == "None":
            if principal is not None:
                self._directory.remove(unit, principal)
                unit.delete("identities", document["properties"]["vmId"].lower())
            document["identity"] = {"type": "None"}

    def _write(self, unit: Unit, document: Document) -> Row:
        key: str = document["id"].lower()
        unit.put("resources", key, document, kind=KIND, scope=key.partition("/providers/")[0])
        row = unit.changes[-1].row
        assert row is not None  # noqa: S101 - what was put just now
        return row

    # -- checks --------------------------------------------------------------------------------------------

    @staticmethod
    def _check_same(document: Document, given: MachineBody, target: ResourceId) -> None:
        if document["properties"]["provisioningState"] == "Deleting":
            raise errors.conflict(f"The machine '{document['name']}' is being deleted.", target)
        if given.location is not None:
            validation.same_location(document["name"], document["location"], given.location, target.group)

    def _check_vm_id_free(self, vm_id: str, target: ResourceId) -> None:
        owner = self._key_by_vm.get(vm_id.lower())
        if owner is not None and owner != target.key:
            raise errors.conflict(f"The vmId '{vm_id}' belongs to another machine.", target)

    def _check_quota(self, target: ResourceId) -> None:
        limit = self._plane.settings.machines_per_group
        if len(self._store.rows("resources", kind=KIND, scope=_scope(target))) >= limit:
            raise errors.quota(TYPE, limit)

    def _official_id(self, target: ResourceId) -> str:
        """The id in ARM's spelling, with the resource group as it was created."""
        prefix = group_id(target.subscription or "", target.group or "")
        group = self._store.get("resources", prefix.lower())
        if group is not None:
            prefix = group.document.get("id", prefix)
        return f"{prefix}/providers/{TYPE}/{target.name}"

    def _modified(self, caller: Caller) -> Document:
        return {
            "lastModifiedBy": caller.name,
            "lastModifiedByType": _AUTHORS.get(caller.kind, "Application"),
            "lastModifiedAt": iso7(self._plane.clock.now()),
        }

    # -- the index -----------------------------------------------------------------------------------------

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.table != "resources":
                continue
            if change.key in self._vm_by_key or (change.row is not None and change.row.kind == KIND):
                self._learn(change.key, change.row)
            elif "/extensions/" in change.key:
                # A machine shows its extensions, so its rendered bytes are stale.
                machine = self.get(change.key.partition("/extensions/")[0])
                if machine is not None:
                    machine.rendered.clear()

    def _learn(self, key: str, row: Row | None) -> None:
        old = self._vm_by_key.pop(key, None)
        if old is not None and self._key_by_vm.get(old) == key:
            del self._key_by_vm[old]
        if row is not None:
            vm_id = row.document["properties"]["vmId"].lower()
            self._vm_by_key[key] = vm_id
            self._key_by_vm[vm_id] = key


def _scope(target: ResourceId) -> str:
    return group_id(target.subscription or "", target.group or "").lower()
