"""The extensions of machines: what may be written, which version is meant, and what the machine is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from arcbed_cloud.arm import validation
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.ids import ResourceId, parse
from arcbed_cloud.arm.table import ResourceType, Scope
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.hybridcompute import errors
from arcbed_cloud.providers.hybridcompute.extensions import refusals
from arcbed_cloud.providers.hybridcompute.extensions.bodies import ExtensionBody
from arcbed_cloud.providers.hybridcompute.extensions.items import Items, Wish
from arcbed_cloud.providers.hybridcompute.extensions.views import KIND, TYPE
from arcbed_cloud.providers.hybridcompute.manifest import NAMESPACE, REGIONS
from arcbed_cloud.providers.hybridcompute.versions import API_VERSIONS
from arcbed_cloud.services.extensions import Gallery, Published, versions
from arcbed_cloud.store.contract import Document, Row, Unit

FIRST_VERSION = "2019-08-02-preview"
# The row of the table without its verbs.
EXTENSION_TYPE = ResourceType(
    namespace=NAMESPACE,
    path="machines/extensions",
    scope=Scope.GROUP,
    api_versions=tuple(version for version in API_VERSIONS if version >= FIRST_VERSION),
    verbs=(),
    name_parameter="extensionName",
    locations=REGIONS,
    name_pattern=r"[a-zA-Z0-9\-_.]{1,80}",
    tracked=True,
    capabilities=(
        "CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SupportsTags, SupportsLocation"
    ),
)


@dataclass(frozen=True, slots=True)
class Written:
    """What a write made of an extension; `moot`: the machine has nothing to do."""

    row: Row
    moot: bool


class MachineExtensions:
    """All extensions of the bed."""

    def __init__(self, plane: Plane, items: Items, gallery: Gallery) -> None:
        self._store = plane.store
        self._items = items
        self._gallery = gallery

    # -- reading -------------------------------------------------------------------------------------------

    def get(self, key: str) -> Row | None:
        """The extension with this ARM id in lower case."""
        row = self._store.get("resources", key)
        return row if row is not None and row.kind == KIND else None

    def on(self, machine_key: str) -> Sequence[Row]:
        """All extensions of a machine, by name."""
        return self._store.rows("resources", kind=KIND, scope=machine_key)

    # -- writing -------------------------------------------------------------------------------------------

    def put(
        self,
        unit: Unit,
        machine: Row,
        target: ResourceId,
        given: ExtensionBody,
        arm: str,
        answer: str = "resource",
    ) -> Written:
        """Create or replace an extension.

        Args:
            unit: where it is written.
            machine: whose.
            target: the extension's id as the client spelled it.
            given: the body.
            arm: ARM's operation.
            answer: see `items.Wish`.

        Raises:
            ArmError: HCRP400, HCRP409, or what `arm.validation` finds.
        """
        before = self.get(target.key)
        if before is None:
            return self._create(unit, machine, target, given, arm, answer)
        properties = before.document["properties"]
        whole = replace(
            given,
            tags=given.tags or {},
            publisher=given.publisher or properties["publisher"],
            type=given.type or properties["type"],
            auto_minor=bool(given.auto_minor),
            automatic=given.automatic is not False,
            settings=given.settings or {},
        )
        return self._change(unit, machine, before, target, whole, arm, answer)

    def patch(self, unit: Unit, machine: Row, target: ResourceId, given: ExtensionBody, arm: str) -> Written:
        """Change what the body gives and leave the rest.

        Raises:
            ArmError: HCRP404, HCRP400, HCRP409.
        """
        before = self.get(target.key)
        if before is None:
            raise errors.hcrp(404, "The requested resource was not found.", target)
        properties = before.document["properties"]
        automatic = properties["enableAutomaticUpgrade"]
        whole = replace(
            given,
            tags=before.document["tags"] if given.tags is None else given.tags,
            publisher=given.publisher or properties["publisher"],
            type=given.type or properties["type"],
            auto_minor=properties["autoUpgradeMinorVersion"]
            if given.auto_minor is None
            else given.auto_minor,
            automatic=automatic if given.automatic is None else given.automatic,
            force_tag=given.force_tag or properties.get("forceUpdateTag"),
            settings=properties["settings"] if given.settings is None else given.settings,
        )
        return self._change(unit, machine, before, target, whole, arm, "resource")

    def upgrade(
        self, unit: Unit, machine: Row, target: ResourceId, wanted: dict[str, str | None], arm: str | None
    ) -> list[Written]:
        """Move extensions to other versions; `wanted` as `bodies.upgrade_targets` reads it.

        Raises:
            ArmError: HCRP400, HCRP409.
        """
        chosen: list[tuple[Row, Published]] = []
        for name, version in wanted.items():
            rows = [row for row in self.on(machine.key) if _goes_by(row, name)]
            if not rows:
                raise errors.hcrp(400, f"No extension of '{name}' is on the machine.", target)
            for row in rows:
                properties = row.document["properties"]
                if row.document["agent"]["operation"] is not None:
                    raise refusals.processing(properties["type"], target)
                current = str(versions.numbers(properties["typeHandlerVersion"])[0])
                chosen.append((row, self._found(machine, properties, version or current, target)))
        return [self._move(unit, machine, row, package, arm) for row, package in chosen]

    # -- parts ---------------------------------------------------------------------------------------------

    def _create(
        self, unit: Unit, machine: Row, target: ResourceId, given: ExtensionBody, arm: str, answer: str
    ) -> Written:
        validation.resource_name(target.name, EXTENSION_TYPE)
        if self._items.named(machine.key, target.name) is not None:
            raise errors.conflict(f"A run command of the machine is named '{target.name}'.", target)
        location = validation.location(given.location, EXTENSION_TYPE)
        package = self._package(machine, target, given, given.version)
        document: Document = {
            "id": f"{machine.document['id']}/extensions/{target.name}",
            "name": target.name,
            "type": TYPE,
            "location": location,
            "tags": given.tags or {},
        }
        whole = replace(
            given,
            auto_minor=bool(given.auto_minor),
            automatic=given.automatic is not False,
            settings=given.settings or {},
        )
        _fill(document, whole, package)
        wish = Wish("create", _goal(document, package), arm, answer, given.protected)
        return Written(self._items.wish(unit, machine.key, document, wish), moot=False)

    def _change(
        self,
        unit: Unit,
        machine: Row,
        before: Row,
        target: ResourceId,
        given: ExtensionBody,
        arm: str,
        answer: str,
    ) -> Written:
        properties = before.document["properties"]
        if (given.publisher or "").lower() != properties["publisher"].lower() or (
            given.type or ""
        ).lower() != properties["type"].lower():
            raise errors.conflict(
                f"The extension '{before.document['name']}' exists with another publisher or type. "
                "Delete it first.",
                target,
            )
        if given.location is not None:
            location = validation.location(given.location, EXTENSION_TYPE)
            validation.same_location(
                before.document["name"], before.document["location"], location, target.group
            )
        if given.version is None:
            package = self._kept(machine, before, given, target)
        else:
            package = self._package(machine, target, given, given.version)
        document: Document = {**before.document, "tags": given.tags}
        _fill(document, given, package)
        goal = _goal(document, package)
        if self._is_moot(before, goal, given.protected):
            document["properties"]["provisioningState"] = properties["provisioningState"]
            return Written(self._items.keep(unit, machine.key, document), moot=True)
        agent = before.document["agent"]
        kind = "create" if agent["settled"] is None else "update"
        wish = Wish(kind, goal, arm, answer, given.protected)
        return Written(self._items.wish(unit, machine.key, document, wish), moot=False)

    def _move(self, unit: Unit, machine: Row, row: Row, package: Published, arm: str | None) -> Written:
        if row.document["properties"]["typeHandlerVersion"] == package.version:
            return Written(row, moot=True)
        document: Document = {**row.document, "properties": dict(row.document["properties"])}
        document["properties"]["typeHandlerVersion"] = package.version
        wish = Wish("upgrade", _goal(document, package), arm, "list")
        return Written(self._items.wish(unit, machine.key, document, wish), moot=False)

    def _is_moot(self, before: Row, goal: Document, protected: Document | None) -> bool:
        """True if the machine has all of it; after a failure everything is tried again."""
        agent = before.document["agent"]
        last, settled = agent["last"], agent["settled"]
        if settled is None or last is None or last["outcome"] != "Succeeded":
            return False
        if protected is not None and self._items.vault.digest(protected) != agent["secret"].get("digest"):
            return False
        return all(settled.get(name) == goal[name] for name in ("version", "settings", "forceUpdateTag"))

    def _package(
        self, machine: Row, target: ResourceId, given: ExtensionBody, version: str | None
    ) -> Published:
        """The version that is meant, after everything that stands against it.

        Raises:
            ArmError: HCRP400, HCRP409.
        """
        if given.publisher is None or given.type is None:
            missing = [
                name for name, text in (("Publisher", given.publisher), ("Type", given.type)) if not text
            ]
            raise errors.insufficient(", ".join(missing), target)
        refusals.check_free(self.on(machine.key), target.key, given.publisher, given.type, target)
        members = {
            "publisher": given.publisher,
            "type": given.type,
            "autoUpgradeMinorVersion": bool(given.auto_minor),
        }
        found = self._found(machine, members, version, target)
        refusals.check_system(machine, given.publisher, given.type, target)
        return found

    def _kept(self, machine: Row, before: Row, given: ExtensionBody, target: ResourceId) -> Published:
        """The version that the extension has, published or not any more."""
        properties = before.document["properties"]
        refusals.check_free(
            self.on(machine.key), target.key, properties["publisher"], properties["type"], target
        )
        version = properties["typeHandlerVersion"]
        found = self._gallery.get(properties["publisher"], properties["type"], version)
        return found or self._package(machine, target, given, version)

    def _found(
        self, machine: Row, properties: dict[str, Any], version: str | None, target: ResourceId
    ) -> Published:
        publisher, kind = properties["publisher"], properties["type"]
        region = validation.normalised(machine.document["location"])
        known = {entry.version: entry for entry in self._gallery.of(publisher, kind, region)}
        chosen = versions.newest(known, version, minor=properties["autoUpgradeMinorVersion"])
        if chosen is None:
            raise refusals.not_found(publisher, kind, version, target)
        return known[chosen]


def machine_id_of(target: ResourceId) -> ResourceId:
    """The machine that the path of a child, of a list of children or of an action is about."""
    return parse(f"{target.scope}/providers/{target.namespace}/{target.types[0]}/{target.names[0]}")


def check_machine(machine: Row | None, target: ResourceId) -> Row:
    """The machine, if extensions can be written on it.

    Raises:
        ArmError: HCRP404, HCRP409 while it is being deleted.
    """
    if machine is None:
        raise errors.hcrp(404, "The requested resource was not found.", target)
    if machine.document["properties"]["provisioningState"] == "Deleting":
        raise _deleting(machine, target)
    return machine


def _deleting(machine: Row, target: ResourceId) -> ArmError:
    return errors.conflict(f"The machine '{machine.document['name']}' is being deleted.", target)


def _fill(document: Document, given: ExtensionBody, package: Published) -> None:
    """ARM's properties from a body that is whole."""
    before: Document = document.get("properties") or {}
    properties: Document = {
        "publisher": package.publisher,
        "type": package.type,
        "typeHandlerVersion": package.version,
        "autoUpgradeMinorVersion": given.auto_minor,
        "enableAutomaticUpgrade": given.automatic,
        "settings": given.settings,
    }
    if given.force_tag is not None:
        properties["forceUpdateTag"] = given.force_tag
    if "instanceView" in before:
        properties["instanceView"] = before["instanceView"]
    document["properties"] = properties


def _goal(document: Document, package: Published) -> Document:
    properties = document["properties"]
    return {
        "publisher": package.publisher,
        "type": package.type,
        "version": package.version,
        "forceUpdateTag": properties.get("forceUpdateTag"),
        "autoUpgradeMinorVersion": properties["autoUpgradeMinorVersion"],
        "enableAutomaticUpgrade": properties["enableAutomaticUpgrade"],
        "settings": properties["settings"],
    }


def _goes_by(row: Row, name: str) -> bool:
    """Targets of upgradeExtensions are ``Publisher.Type`` or a publisher alone."""
    properties = row.document["properties"]
    publisher = properties["publisher"].lower()
    return name.lower() in {publisher, f"{publisher}.{properties['type'].lower()}"}
