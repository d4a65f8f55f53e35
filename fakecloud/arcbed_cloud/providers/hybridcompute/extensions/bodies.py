"""The bodies of an extension's PUT and PATCH, of upgradeExtensions and of addExtensions, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arcbed_cloud.arm import validation
from arcbed_cloud.arm.errors import invalid_content
from arcbed_cloud.arm.ids import ResourceId
from arcbed_cloud.providers.hybridcompute import errors
from arcbed_cloud.services.extensions import versions
from arcbed_cloud.store.contract import Document


@dataclass(frozen=True, slots=True)
class ExtensionBody:
    """What a body gives; None: not given."""

    location: str | None = None
    tags: dict[str, str] | None = None
    publisher: str | None = None
    type: str | None = None
    version: str | None = None
    auto_minor: bool | None = None
    automatic: bool | None = None
    force_tag: str | None = None
    settings: Document | None = None
    protected: Document | None = None


def read(body: Mapping[str, Any], target: ResourceId) -> ExtensionBody:
    """Check everything that can be checked without looking at the stored extension.

    Raises:
        ArmError: 400 InvalidRequestContent that names the member, HCRP400 for what is no version, or what
            `arm.validation` finds.
    """
    top = members_of(body, "the body")
    tags = None if top.get("tags") is None else validation.tags(top["tags"])
    given = properties(object_of(top.get("properties"), "properties") or {}, target)
    return ExtensionBody(
        location=text(top.get("location"), "location"),
        tags=tags,
        publisher=given.publisher,
        type=given.type,
        version=given.version,
        auto_minor=given.auto_minor,
        automatic=given.automatic,
        force_tag=given.force_tag,
        settings=given.settings,
        protected=given.protected,
    )


def properties(given: Mapping[str, Any], target: ResourceId) -> ExtensionBody:
    """MachineExtensionProperties alone, as addExtensions carries them."""
    members = members_of(given, "properties")

    def word(name: str) -> str | None:
        return text(members.get(name.lower()), f"properties.{name}")

    version = word("typeHandlerVersion")
    return ExtensionBody(
        publisher=word("publisher"),
        type=word("type"),
        version=_version(version, target),
        auto_minor=flag(members.get("autoupgrademinorversion"), "properties.autoUpgradeMinorVersion"),
        automatic=flag(members.get("enableautomaticupgrade"), "properties.enableAutomaticUpgrade"),
        force_tag=word("forceUpdateTag"),
        settings=object_of(members.get("settings"), "properties.settings"),
        protected=object_of(members.get("protectedsettings"), "properties.protectedSettings"),
    )


def upgrade_targets(body: Mapping[str, Any], target: ResourceId) -> dict[str, str | None]:
    """``extensionTargets``: ``Publisher.Type`` or ``Publisher`` -> version asked for, None for the newest.

    Raises:
        ArmError: 400 InvalidRequestContent, or HCRP400 for what is no version.
    """
    given = object_of(members_of(body, "the body").get("extensiontargets"), "extensionTargets")
    if not given:
        raise errors.insufficient("ExtensionTargets", target)
    found: dict[str, str | None] = {}
    for name, wanted in given.items():
        where = f"extensionTargets.{name}"
        members = members_of(object_of(wanted, where) or {}, where)
        found[name] = _version(text(members.get("targetversion"), f"{where}.targetVersion"), target)
    return found


def setups(body: Mapping[str, Any], target: ResourceId) -> list[ExtensionBody]:
    """``extensions`` of a SetupExtensionRequest.

    Raises:
        ArmError: 400 InvalidRequestContent or HCRP400.
    """
    given = members_of(body, "the body").get("extensions")
    if not isinstance(given, list) or not given:
        raise errors.insufficient("Extensions", target)
    return [properties(object_of(entry, "extensions[]") or {}, target) for entry in given]


def text(given: Any, where: str) -> str | None:
    """A string, or None; an empty one counts as not given.

    Raises:
        ArmError: 400 InvalidRequestContent.
    """
    if given is None or isinstance(given, str):
        return given or None
    raise invalid_content(f"'{where}' must be a string")


def flag(given: Any, where: str) -> bool | None:
    """A boolean, or None.

    Raises:
        ArmError: 400 InvalidRequestContent.
    """
    if given is None or isinstance(given, bool):
        return given
    raise invalid_content(f"'{where}' must be a boolean")


def _version(given: str | None, target: ResourceId) -> str | None:
    if given is None:
        return None
    try:
        versions.numbers(given)
    except ValueError as error:
        raise errors.insufficient(f"TypeHandlerVersion ({error})", target) from error
    return given


def members_of(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """By lower-case name: ARM's member names ignore case.

    Raises:
        ArmError: 400 InvalidRequestContent for a member that is there twice.
    """
    found = {name.lower(): value for name, value in given.items()}
    if len(found) < len(given):
        raise invalid_content(f"'{where}' names a member twice; member names ignore case")
    return found


def object_of(given: Any, where: str) -> Document | None:
    """An object, or None.

    Raises:
        ArmError: 400 InvalidRequestContent.
    """
    if given is None or isinstance(given, dict):
        return given
    raise invalid_content(f"'{where}' must be an object")
