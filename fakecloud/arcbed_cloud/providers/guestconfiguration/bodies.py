"""The body of a guest assignment's PUT, read and checked; member names ignore case as in all of ARM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arcbed_cloud.arm.errors import invalid_content
from arcbed_cloud.store.contract import Document

# Assignment type -> `configurationMode` of the answer (swagger: ConfigurationMode; samples show MonitorOnly).
MODES = {
    "Audit": "MonitorOnly",
    "ApplyAndMonitor": "ApplyAndMonitor",
    "ApplyAndAutoCorrect": "ApplyAndAutoCorrect",
    "DeployAndAutoCorrect": "ApplyAndAutoCorrect",
    "ApplyOnce": "ApplyOnly",
}
_TEXTS = ("name", "version", "contentUri", "contentHash", "contentManagedIdentity", "assignmentType", "kind")


@dataclass(frozen=True, slots=True)
class AssignmentBody:
    """What a PUT gives.

    `configuration` has every writable text of ``guestConfiguration``, null where it was not given; the
    values of `protected` are never shown again.
    """

    location: str | None
    context: str | None
    configuration: Document
    parameters: list[dict[str, str]]
    protected: list[dict[str, str]]


def read(body: Mapping[str, Any]) -> AssignmentBody:
    """Check a body; read-only and unknown members are ignored.

    Raises:
        ArmError: 400 InvalidRequestContent that names the member.
    """
    top = _members(body, "")
    properties = _members(_object(top.get("properties"), "properties"), "properties")
    given = properties.get("guestconfiguration")
    configuration = _members(_object(given, "properties.guestConfiguration"), "properties.guestConfiguration")
    texts: Document = {
        name: _text(configuration.get(name.lower()), f"properties.guestConfiguration.{name}")
        for name in _TEXTS
    }
    if not texts["name"]:
        raise invalid_content("'properties.guestConfiguration.name' is required")
    _one_of(texts, "assignmentType", tuple(MODES))
    _one_of(texts, "kind", ("DSC",))
    return AssignmentBody(
        location=_text(top.get("location"), "location"),
        context=_text(properties.get("context"), "properties.context"),
        configuration=texts,
        parameters=_parameters(configuration.get("configurationparameter"), "configurationParameter"),
        protected=_parameters(
            configuration.get("configurationprotectedparameter"), "configurationProtectedParameter"
        ),
    )


def _members(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """By lower-case name."""
    found = {name.lower(): value for name, value in given.items()}
    if len(found) < len(given):
        raise invalid_content(f"'{where or 'the body'}' names a member twice; member names ignore case")
    return found


def _object(given: Any, where: str) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise invalid_content(f"'{where}' must be an object")
    return given


def _text(given: Any, where: str) -> str | None:
    if given is None or isinstance(given, str):
        return given
    raise invalid_content(f"'{where}' must be a string")


def _one_of(texts: Document, name: str, known: tuple[str, ...]) -> None:
    """Enum values are taken in their own spelling only."""
    if texts[name] is not None and texts[name] not in known:
        raise invalid_content(
            f"'properties.guestConfiguration.{name}' is '{texts[name]}'; known are {', '.join(known)}"
        )


def _parameters(given: Any, name: str) -> list[dict[str, str]]:
    where = f"properties.guestConfiguration.{name}"
    if given is None:
        return []
    if not isinstance(given, list):
        raise invalid_content(f"'{where}' must be an array")
    return [_parameter(entry, f"{where}[{index}]") for index, entry in enumerate(given)]


def _parameter(given: Any, where: str) -> dict[str, str]:
    if not isinstance(given, dict):
        raise invalid_content(f"'{where}' must be an object with 'name' and 'value'")
    members = _members(given, where)
    name, value = _text(members.get("name"), f"{where}.name"), _text(members.get("value"), f"{where}.value")
    if not name or value is None:
        raise invalid_content(f"'{where}' must have a 'name' and a 'value'")
    return {"name": name, "value": value}
