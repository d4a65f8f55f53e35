"""What the service wants of one extension: an item of the goal state (``docs/wire.md`` section 12.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Final, Self

ENABLED: Final = "enabled"
DISABLED: Final = "disabled"
UNINSTALLED: Final = "uninstalled"

_WORD: Final = re.compile(r"[A-Za-z0-9_.]{1,120}")
_NAME: Final = re.compile(r"[A-Za-z0-9_.() -]{1,120}")
_EXTENSION_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VERSION: Final = re.compile(r"\d{1,9}(\.\d{1,9}){0,3}")


class GoalError(Exception):
    """An item that cannot be used; `str()` says what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """Where a handler's zip is and what it must be."""

    uri: str
    sha256: str = ""
    catalog_uri: str = ""
    catalog_sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One wanted extension.

    Args:
        name: of the resource in ARM.
        publisher: such as ``Microsoft.Azure.Extensions``.
        kind: ARM's `type`, such as ``CustomScript``.
        version: exact.
        desired: ``enabled``, ``disabled`` or ``uninstalled``.
        sequence: grows with each change.
        extension_name: of one configuration among several of a handler; empty for a handler with one.
        operation_id, operation_kind, created_at, expires_at: of the ARM operation; empty without one.
        settings: public ones; None: there are none.
        package: None: the service has no package to give.
    """

    name: str
    publisher: str
    kind: str
    version: str
    desired: str = ENABLED
    sequence: int = 0
    extension_name: str = ""
    operation_id: str = ""
    operation_kind: str = ""
    created_at: str = ""
    expires_at: str = ""
    settings: dict[str, Any] | None = None
    package: Package | None = None

    @property
    def handler(self) -> str:
        """``Publisher.Type``: what the handler's folders are called by."""
        return f"{self.publisher}.{self.kind}"

    @property
    def target(self) -> tuple[str, int, str]:
        """What is compared: equal targets need no work."""
        return (self.version, self.sequence, self.desired)

    @property
    def removal(self) -> bool:
        """Whether the extension is to go."""
        return self.desired == UNINSTALLED

    def expired(self, now: datetime) -> bool:
        """Whether the operation has not been picked up in time."""
        try:
            return bool(self.expires_at) and now >= datetime.fromisoformat(self.expires_at)
        except ValueError:
            return False

    def to_json(self) -> dict[str, Any]:
        """As JSON, for the agent's own files."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """What `to_json` made.

        Raises:
            TypeError: a member is missing.
        """
        known = {item.name for item in fields(cls)}
        values = {key: value for key, value in document.items() if key in known}
        package = values.get("package")
        return cls(**values | {"package": Package(**package) if package else None})

    def removed(self) -> Self:
        """The same extension, unwanted."""
        return replace(self, desired=UNINSTALLED, operation_id="", operation_kind="", expires_at="")


@dataclass(frozen=True)
class Item:
    """A goal with what must not be stored as it is.

    Args:
        goal: the rest.
        protected: protected settings; None: unchanged.
    """

    goal: Goal
    protected: dict[str, Any] | None = field(default=None, repr=False)


def read_item(document: object) -> Item:
    """An item of the goal state.

    Raises:
        GoalError: it cannot be used.
    """
    if not isinstance(document, dict):
        raise GoalError("it is not an object")
    protected = document.get("protectedSettings")
    if protected is not None:
        if not isinstance(protected, dict) or protected.get("scheme") != "plain-tls":
            raise GoalError("protectedSettings has an unknown scheme")
        protected = _object(protected.get("value"), "protectedSettings") or {}
    operation = _object(document.get("operation"), "operation") or {}
    goal = Goal(
        name=_text(document, "name", _NAME),
        publisher=_text(document, "publisher", _WORD),
        kind=_text(document, "type", _WORD),
        version=_text(document, "typeHandlerVersion", _VERSION),
        desired=_desired(document),
        sequence=_sequence(document),
        extension_name=_extension_name(document),
        operation_id=str(operation.get("operationId") or ""),
        operation_kind=str(operation.get("kind") or ""),
        created_at=str(operation.get("createdAt") or ""),
        expires_at=str(operation.get("expiresAt") or ""),
        settings=_object(document.get("settings"), "settings"),
        package=_package(_object(document.get("package"), "package")),
    )
    return Item(goal, protected)


def _desired(document: Mapping[str, Any]) -> str:
    desired = document.get("desiredState", ENABLED)
    if desired not in {ENABLED, DISABLED, UNINSTALLED}:
        raise GoalError("desiredState is none of enabled, disabled, uninstalled")
    return str(desired)


def _sequence(document: Mapping[str, Any]) -> int:
    sequence = document.get("sequenceNumber", 0)
    if not isinstance(sequence, int) or isinstance(sequence, bool) or sequence < 0:
        raise GoalError("sequenceNumber is no number")
    return sequence


def _extension_name(document: Mapping[str, Any]) -> str:
    name = document.get("extensionName") or ""
    if name and not (isinstance(name, str) and _EXTENSION_NAME.fullmatch(name)):
        raise GoalError("extensionName cannot be used")
    return str(name)


def _text(document: Mapping[str, Any], member: str, shape: re.Pattern[str]) -> str:
    value = document.get(member)
    if not isinstance(value, str) or not shape.fullmatch(value) or value.startswith("."):
        raise GoalError(f"{member} is missing or cannot be used")
    return value


def _object(value: object, member: str) -> dict[str, Any] | None:
    if value is not None and not isinstance(value, dict):
        raise GoalError(f"{member} is not an object")
    return value


def _package(document: Mapping[str, Any] | None) -> Package | None:
    if not document or not document.get("uri"):
        return None
    return Package(
        uri=str(document["uri"]),
        sha256=str(document.get("sha256") or ""),
        catalog_uri=str(document.get("catalogUri") or ""),
        catalog_sha256=str(document.get("catalogSha256") or ""),
    )
