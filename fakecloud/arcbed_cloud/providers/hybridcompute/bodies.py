"""The body of a machine's PUT or PATCH, read and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from arcbed_cloud.arm import validation
from arcbed_cloud.arm.errors import invalid_content
from arcbed_cloud.arm.ids import ResourceId
from arcbed_cloud.providers.hybridcompute import errors, members
from arcbed_cloud.providers.hybridcompute.keys import PublicKeyError, read_public_key
from arcbed_cloud.providers.hybridcompute.manifest import MACHINE_TYPE
from arcbed_cloud.providers.hybridcompute.schemas import KINDS
from arcbed_cloud.providers.hybridcompute.versions import has
from arcbed_cloud.store.contract import Document

IdentityType = Literal["SystemAssigned", "None"]
_GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_OWN_RULES = ("vmId", "clientPublicKey")
_SPELLED: dict[str, str] = {name.lower(): name for name in _OWN_RULES}


@dataclass(frozen=True, slots=True)
class MachineBody:
    """What a body gives; None: not given. `properties` are the writable ones besides vmId and key."""

    location: str | None
    tags: dict[str, str] | None
    identity: IdentityType | None
    kind: str | None
    vm_id: str | None
    public_key: str | None
    properties: Document


def read(body: Document, template: members.Template, target: ResourceId, version: str) -> MachineBody:
    """Check everything that can be checked without looking at the stored machine.

    Args:
        body: the JSON object; read-only and unknown members are ignored.
        template: `members.WRITABLE` or `members.PATCHABLE`.
        target: names the machine in errors.
        version: members that this api-version does not know are ignored.

    Raises:
        ArmError: HCRP400, InvalidRequestContent, or what `arm.validation` finds.
    """
    given = _properties(body)
    return MachineBody(
        location=_location(body.get("location")),
        tags=None if body.get("tags") is None else validation.tags(body["tags"]),
        identity=_identity(body.get("identity"), target),
        kind=_kind(body.get("kind"), target, version),
        vm_id=_vm_id(given.get("vmId"), target),
        public_key=_public_key(given.get("clientPublicKey"), target),
        properties=_writable(given, template, target, version),
    )


def _properties(body: Document) -> Document:
    """``properties`` with `vmId` and `clientPublicKey` in their official spelling."""
    given = body.get("properties")
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise invalid_content("'properties' must be an object")
    document: Document = given
    return {_SPELLED.get(key.lower()) or key: value for key, value in document.items()}


def _location(given: Any) -> str | None:
    return None if given is None else validation.location(given, MACHINE_TYPE)


def _writable(given: Document, template: members.Template, target: ResourceId, version: str) -> Document:
    rest = {key: value for key, value in given.items() if key not in _OWN_RULES}
    found: Document = members.chosen(rest, template, lambda name: errors.insufficient(name, target), version)
    place = found.get("locationData")
    if place is not None and not place.get("name"):
        raise errors.insufficient("LocationData.Name", target)
    return found


def _vm_id(given: Any, target: ResourceId) -> str | None:
    if given is None:
        return None
    if _GUID.fullmatch(str(given)):
        return str(given)
    raise errors.insufficient("VmId", target)


def _public_key(given: Any, target: ResourceId) -> str | None:
    if given is None:
        return None
    try:
        read_public_key(str(given))
    except PublicKeyError as error:
        raise errors.insufficient(f"ClientPublicKey ({error})", target) from error
    return str(given)


def _identity(given: Any, target: ResourceId) -> IdentityType | None:
    if given is None:
        return None
    if not isinstance(given, dict) or not isinstance(given.get("type", "None"), str):
        raise invalid_content("'identity' must be an object with a 'type'")
    wanted = given.get("type", "None").replace(" ", "").lower()
    if "userassigned" in wanted:
        raise errors.hcrp(
            400,
            "User assigned identity is currently in preview and not allowed for this subscription.",
            target,
        )
    if wanted not in {"none", "systemassigned"}:
        raise errors.insufficient("Identity.Type", target)
    return "SystemAssigned" if wanted == "systemassigned" else "None"


def _kind(given: Any, target: ResourceId, version: str) -> str | None:
    if given is None or not has(version, "kind"):
        return None
    for kind in KINDS:
        if isinstance(given, str) and kind.lower() == given.lower():
            return kind
    raise errors.insufficient("Kind", target)
