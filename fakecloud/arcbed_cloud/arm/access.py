"""Role-based access: who may do what where, from the role assignments in the table ``grants``.

An assignment counts at its scope and everywhere below; an action is allowed if one role's ``actions`` match
it and that role's ``notActions`` do not (Microsoft's article "Understand Azure role definitions").
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.request import Caller
from arcbed_cloud.plane import Plane
from arcbed_cloud.store.contract import Change, Row

ASSIGNMENTS = "microsoft.authorization/roleassignments"
DEFINITIONS = "microsoft.authorization/roledefinitions"
_MAX_DECISIONS = 100_000


def _pattern(actions: Iterable[str]) -> re.Pattern[str] | None:
    parts = [re.escape(action.lower()).replace(r"\*", ".*") for action in actions]
    return re.compile("|".join(parts), re.DOTALL) if parts else None


@dataclass(frozen=True, slots=True)
class _Permission:
    actions: re.Pattern[str] | None
    not_actions: re.Pattern[str] | None

    def allows(self, action: str) -> bool:
        if self.actions is None or self.actions.fullmatch(action) is None:
            return False
        return self.not_actions is None or self.not_actions.fullmatch(action) is None


def _compiled(definition: dict[str, Any]) -> tuple[_Permission, ...]:
    return tuple(
        _Permission(_pattern(entry.get("actions") or ()), _pattern(entry.get("notActions") or ()))
        for entry in definition["permissions"]
    )


def within(scope: str, ancestor: str) -> bool:
    """True if `scope` is `ancestor` or lies below it; both in lower case, the root is ``/`` or empty."""
    ancestor = ancestor.rstrip("/")
    return not ancestor or scope == ancestor or scope.startswith(ancestor + "/")


class Access:
    """Decisions, kept in memory and dropped whenever an assignment or a definition changes.

    Args:
        plane: for the store and its feed.
        builtin: built-in role definitions by id, each with ``permissions``.
    """

    def __init__(self, plane: Plane, builtin: dict[str, dict[str, Any]]) -> None:
        self._plane = plane
        self._builtin = {name: _compiled(definition) for name, definition in builtin.items()}
        self._roles: dict[str, tuple[_Permission, ...]] = {}
        self._assigned: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
        self._holder: dict[str, str] = {}
        self._decisions: dict[tuple[str, str, str], bool] = {}
        plane.store.subscribe(self._changed)
        self._changed([Change("grants", row.key, row) for row in plane.store.rows("grants")])

    def allows(self, object_id: str, action: str, scope: str) -> bool:
        """May this principal do `action` at `scope` (an ARM id, any case)?"""
        question = (object_id, action, scope)
        decision = self._decisions.get(question)
        if decision is None:
            if len(self._decisions) >= _MAX_DECISIONS:
                self._decisions.clear()
            decision = self._decide(object_id.lower(), action.lower(), scope.lower())
            self._decisions[question] = decision
        return decision

    def check(self, caller: Caller, action: str, scope: str) -> None:
        """Raise 403 AuthorizationFailed unless `allows`."""
        if self.allows(caller.object_id, action, scope):
            return
        raise ArmError(
            403,
            "AuthorizationFailed",
            f"The client '{caller.name}' with object id '{caller.object_id}' does not have authorization to "
            "perform "
            f"action '{action}' over scope '{scope}' or the scope is invalid. If access was recently "
            "granted, please "
            "refresh your credentials.",
        )

    def sees(self, object_id: str, scope: str) -> bool:
        """Does this principal hold any role at, above or below `scope`?"""
        scope = scope.lower()
        held = self._assigned.get(object_id.lower(), {})
        return any(within(scope, where) or within(where, scope) for where, _ in held.values())

    def _decide(self, object_id: str, action: str, scope: str) -> bool:
        for where, role in self._assigned.get(object_id, {}).values():
            if within(scope, where) and any(entry.allows(action) for entry in self._permissions(role)):
                return True
        return False

    def _permissions(self, role: str) -> tuple[_Permission, ...]:
        return self._builtin.get(role) or self._roles.get(role, ())

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.table != "grants":
                continue
            self._decisions.clear()
            if change.row is None:
                self._forget(change.key)
                if f"/{DEFINITIONS}/" in change.key:
                    self._roles.pop(change.key.rsplit("/", 1)[-1], None)
            elif change.row.kind == ASSIGNMENTS:
                self._remember(change.row)
            elif change.row.kind == DEFINITIONS:
                definition = change.row.document
                self._roles[definition["name"].lower()] = _compiled(definition["properties"])

    def _remember(self, row: Row) -> None:
        properties = row.document["properties"]
        self._forget(row.key)
        holder = properties["principalId"].lower()
        role = properties["roleDefinitionId"].rsplit("/", 1)[-1].lower()
        self._assigned[holder][row.key] = (properties["scope"].lower(), role)
        self._holder[row.key] = holder

    def _forget(self, key: str) -> None:
        holder = self._holder.pop(key, None)
        if holder is not None:
            self._assigned[holder].pop(key, None)
