"""The body of a run command's PUT, read and parted: what ARM shows, what the handler gets, what is secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arcbed_cloud.arm import validation
from arcbed_cloud.arm.errors import invalid_content
from arcbed_cloud.arm.ids import ResourceId
from arcbed_cloud.providers.hybridcompute import errors
from arcbed_cloud.providers.hybridcompute.extensions.bodies import flag, members_of, object_of, text
from arcbed_cloud.store.contract import Document

_IDENTITIES = ("outputBlobManagedIdentity", "errorBlobManagedIdentity")
_BLOBS = {"outputBlobUri": "outputBlobSASToken", "errorBlobUri": "errorBlobSASToken"}
_LONGEST = 90 * 86_400


@dataclass(frozen=True, slots=True)
class RunCommandBody:
    """What a PUT gives.

    Args:
        location: None: not given.
        tags: None: not given.
        properties: as ARM shows them.
        settings: public settings of the handler ``RunCommandHandlerLinux``.
        protected: its protected ones; None: there are none.
    """

    location: str | None
    tags: dict[str, str] | None
    properties: Document
    settings: Document
    protected: Document | None


def read(body: Mapping[str, Any], target: ResourceId) -> RunCommandBody:
    """Check a body; read-only and unknown members are ignored.

    Raises:
        ArmError: 400 InvalidRequestContent, HCRP400 without a source, or what `arm.validation` finds.
    """
    top = members_of(body, "the body")
    given = members_of(object_of(top.get("properties"), "properties") or {}, "properties")
    shown: Document = {"source": _source(given.get("source"), target)}
    protected: Document = {}
    for name in ("parameters", "protectedParameters"):
        if (listed := given.get(name.lower())) is not None:
            (shown if name == "parameters" else protected)[name] = _parameters(listed, name)
    shown["asyncExecution"] = bool(flag(given.get("asyncexecution"), "properties.asyncExecution"))
    shown["timeoutInSeconds"] = _seconds(given.get("timeoutinseconds"))
    if (user := text(given.get("runasuser"), "properties.runAsUser")) is not None:
        shown["runAsUser"] = user
    if (password := text(given.get("runaspassword"), "properties.runAsPassword")) is not None:
        protected["runAsPassword"] = password
    for name, token in _BLOBS.items():
        if (uri := text(given.get(name.lower()), f"properties.{name}")) is not None:
            shown[name] = _without_signature(uri, token, protected)
    for name in _IDENTITIES:
        if (identity := object_of(given.get(name.lower()), f"properties.{name}")) is not None:
            shown[name] = identity
    if (uri := shown["source"].get("scriptUri")) is not None:
        shown["source"]["scriptUri"] = _without_signature(uri, "sourceSASToken", protected)
    return RunCommandBody(
        location=text(top.get("location"), "location"),
        tags=None if top.get("tags") is None else validation.tags(top["tags"]),
        properties=shown,
        settings=dict(shown),
        protected=protected or None,
    )


def _source(given: Any, target: ResourceId) -> Document:
    members = members_of(object_of(given, "properties.source") or {}, "properties.source")
    found: Document = {}
    for name in ("script", "scriptUri", "commandId"):
        if (value := text(members.get(name.lower()), f"properties.source.{name}")) is not None:
            found[name] = value
    identity = object_of(
        members.get("scripturimanagedidentity"), "properties.source.scriptUriManagedIdentity"
    )
    if identity is not None:
        found["scriptUriManagedIdentity"] = identity
    if not found.keys() & {"script", "scriptUri"}:
        raise errors.insufficient("Source.Script or Source.ScriptUri", target)
    return found


def _parameters(given: Any, name: str) -> list[dict[str, str]]:
    where = f"properties.{name}"
    if not isinstance(given, list):
        raise invalid_content(f"'{where}' must be an array")
    found = []
    for index, entry in enumerate(given):
        members = members_of(object_of(entry, f"{where}[{index}]") or {}, f"{where}[{index}]")
        key, value = members.get("name"), members.get("value")
        if not isinstance(key, str) or not isinstance(value, str):
            raise invalid_content(f"'{where}[{index}]' must have a 'name' and a 'value', both strings")
        found.append({"name": key, "value": value})
    return found


def _seconds(given: Any) -> int:
    if given is None:
        return 0
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= _LONGEST:
        return given
    raise invalid_content(f"'properties.timeoutInSeconds' must be a whole number from 0 to {_LONGEST}")


def _without_signature(uri: str, token: str, protected: Document) -> str:
    """The address; a shared access signature behind it goes where nobody reads it."""
    address, mark, query = uri.partition("?")
    if mark:
        protected[token] = query
    return address
