"""One thing that a machine is to have: an extension or a run command, from ARM's write to the agent's report.

Rows of the table ``resources``. Beside ARM's members a row has ``agent``, which no answer of ARM shows:

- ``sequence``: the newest sequence number; ``since``: the generation that brought the newest goal.
- ``goal``: what the machine is told (publisher, type, version, sequenceNumber, desiredState, settings, ...),
  or None when it is told nothing; ``settled``: the newest goal that an agent took up, which an expiry goes
  back to.
- ``operation``: the open one, or None: ``operationId``, ``arm`` (ARM's operation, None if nobody waits),
  ``kind``, ``answer``, ``createdAt``, ``expiresAt``, ``pickedUp``.
- ``last``: how the one before ended: ``operationId``, ``arm``, ``outcome``, ``error``.
- ``secret``: ``sealed`` protected settings while they are needed, and their ``digest``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from arcbed_cloud.arm import times
from arcbed_cloud.arm.operations import Operations
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.hybridcompute.extensions.goals import Goals
from arcbed_cloud.providers.hybridcompute.extensions.vault import Vault
from arcbed_cloud.store.contract import Change, Document, Row, Unit, latest

QUEUE = timedelta(hours=6)
EXPIRED = {
    "code": "OperationExpired",
    "message": "The operation was not picked up by the machine's agent within 6 hours.",
}
_PROGRESS = {"create": "Creating", "update": "Updating", "upgrade": "Updating", "delete": "Deleting"}
ENDED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What ARM wants of an item.

    Args:
        kind: ``create``, ``update``, ``upgrade``.
        goal: the goal without its sequence number and state.
        arm: id of ARM's operation; None if nobody waits for it.
        answer: what its status carries in the end: ``resource``, ``list`` or ``setup``.
        protected: new protected settings; None: as they were.
    """

    kind: str
    goal: Document
    arm: str | None
    answer: str = "resource"
    protected: Document | None = None


class View(Protocol):
    """How one kind of item shows in ARM."""

    kind: str

    def shown(self, document: Document) -> Document:
        """The resource as ARM answers it in the newest api-version: without ``agent``."""

    def amend(self, document: Document, report: Document) -> None:
        """Take over what an agent reports about it."""


class Items:
    """The life of items, whatever kind they are of."""

    def __init__(self, plane: Plane, operations: Operations, goals: Goals, views: Sequence[View]) -> None:
        self._plane = plane
        self._store = plane.store
        self._operations = operations
        self.goals = goals
        self.vault = Vault(plane.settings.state)
        self._views: Mapping[str, View] = {view.kind: view for view in views}
        plane.store.subscribe(self._changed)
        for kind in self._views:
            self._changed(
                [Change("resources", row.key, row) for row in plane.store.rows("resources", kind=kind)]
            )

    # -- reading -------------------------------------------------------------------------------------------

    def of(self, machine_key: str) -> list[Row]:
        """All items of a machine."""
        return [
            row for kind in self._views for row in self._store.rows("resources", kind=kind, scope=machine_key)
        ]

    def named(self, machine_key: str, name: str) -> Row | None:
        """The item of this name; an extension comes before a run command."""
        return next(
            (row for row in self.of(machine_key) if row.document["name"].lower() == name.lower()), None
        )

    # -- what ARM wants ------------------------------------------------------------------------------------

    def wish(self, unit: Unit, machine_key: str, document: Document, wish: Wish) -> Row:
        """Give the machine something new to do.

        Args:
            unit: where it is written.
            machine_key: whose item.
            document: ARM's members as they are to be, with ``agent`` if there was one.
            wish: what is new.
        """
        before = document.get("agent") or {"sequence": None, "settled": None, "last": None, "secret": {}}
        number = before["sequence"]
        number = self.goals.first_number(machine_key, document["name"]) if number is None else number + 1
        secret = before["secret"]
        if wish.protected is not None:
            secret = {"sealed": self.vault.seal(wish.protected), "digest": self.vault.digest(wish.protected)}
        document["properties"]["provisioningState"] = _PROGRESS[wish.kind]
        document["agent"] = {
            **before,
            "sequence": number,
            "since": self.goals.changed(unit, machine_key),
            "goal": {**wish.goal, "sequenceNumber": number, "desiredState": "enabled"},
            "operation": self._operation(wish.kind, wish.arm, wish.answer),
            "secret": secret,
        }
        return self.keep(unit, machine_key, document)

    def remove(self, unit: Unit, row: Row, arm: str | None) -> bool:
        """Have the machine remove an item; True if that is done already, as it never heard of it."""
        agent = self._without_open(unit, row, "The resource is being deleted.")
        machine_key = row.scope
        told = agent["goal"] is not None and self.goals.of(machine_key)["pulled"] >= agent["since"]
        if agent["settled"] is None and not told:
            self._gone(unit, row, agent["sequence"])
            return True
        goal = agent["goal"] or agent["settled"]
        number = agent["sequence"] + (goal["desiredState"] == "uninstalled")
        document = {
            **row.document,
            "properties": {**row.document["properties"], "provisioningState": "Deleting"},
        }
        document["agent"] = {
            **agent,
            "sequence": number,
            "since": self.goals.changed(unit, machine_key),
            "goal": {**goal, "sequenceNumber": number, "desiredState": "uninstalled"},
            "operation": self._operation("delete", arm, "none"),
            "secret": {},
        }
        self.keep(unit, machine_key, document)
        return False

    def forget(self, unit: Unit, row: Row) -> None:
        """The machine goes, and the item with it."""
        self._without_open(unit, row, "The machine was deleted.")

    def keep(self, unit: Unit, machine_key: str, document: Document) -> Row:
        """Write an item's document."""
        unit.put(
            "resources", document["id"].lower(), document, kind=document["type"].lower(), scope=machine_key
        )
        row = unit.changes[-1].row
        assert row is not None  # noqa: S101 - what was put just now
        return row

    def _operation(self, kind: str, arm: str | None, answer: str) -> Document:
        now = self._plane.clock.now()
        return {
            "operationId": arm
            if arm is not None and answer in {"resource", "none"}
            else self._plane.ids.guid(),
            "arm": arm,
            "kind": kind,
            "answer": answer,
            "createdAt": times.iso7(now),
            "expiresAt": times.iso7(now + QUEUE),
            "pickedUp": False,
        }

    def _without_open(self, unit: Unit, row: Row, why: str) -> Document:
        """The item's ``agent`` after its open operation was cancelled."""
        agent: Document = row.document["agent"]
        operation = agent["operation"]
        if operation is None:
            return agent
        error = {"code": "OperationCanceled", "message": why}
        ended = {**agent, "operation": None, "last": _ended(operation, "Canceled", error)}
        self._close(unit, row, ended, operation)
        return ended

    # -- what agents say -----------------------------------------------------------------------------------

    def report(self, unit: Unit, row: Row, operation_id: str | None, report: Document) -> None:
        """Take a report over into ARM.

        Args:
            unit: the report's.
            row: the item.
            operation_id: the operation that it is about; None for a mere status.
            report: members as in ``docs/wire.md``, section 12.3.
        """
        document: Document = {**row.document, "properties": dict(row.document["properties"])}
        agent = document["agent"] = dict(document["agent"])
        operation = agent["operation"]
        about = operation is not None and operation["operationId"] == operation_id
        state = report.get("state") if about else None
        self._views[row.kind].amend(document, report)
        if operation is None or state is None:
            self.keep(unit, row.scope, document)
        elif state == "InProgress":
            self._take_up(unit, row, document)
        else:
            self._end(unit, row, document, report)

    def _take_up(self, unit: Unit, row: Row, document: Document) -> None:
        agent = document["agent"]
        if not agent["operation"]["pickedUp"]:
            agent["operation"] = {**agent["operation"], "pickedUp": True}
            agent["settled"] = agent["goal"]
            if agent["operation"]["arm"] is not None:
                self._operations.progress(unit, agent["operation"]["arm"])
        self.keep(unit, row.scope, document)

    def _end(self, unit: Unit, row: Row, document: Document, report: Document) -> None:
        agent, state = document["agent"], report["state"]
        operation = agent["operation"]
        if operation["kind"] == "delete" and state == "Succeeded":
            self._gone(unit, row, agent["sequence"])
            self._close(unit, row, {**agent, "last": _ended(operation, state, None)}, operation)
            return
        error = None
        if state != "Succeeded":
            code = "HCRP400" if state == "Failed" else "OperationCanceled"
            error = {"code": code, "message": _failure(report)}
        agent["goal"] = agent["settled"] = _installed(agent["goal"], report)
        agent["operation"] = None
        agent["last"] = _ended(operation, state, error)
        agent["secret"] = {"digest": agent["secret"].get("digest")}
        document["properties"]["provisioningState"] = state
        self.keep(unit, row.scope, document)
        self._close(unit, row, agent, operation)

    def _gone(self, unit: Unit, row: Row, sequence: int) -> None:
        self.goals.changed(unit, row.scope, gone=(row.document["name"], sequence))
        unit.delete("resources", row.key)

    # -- ARM's operations ----------------------------------------------------------------------------------

    def _close(self, unit: Unit, row: Row, agent: Document, operation: Document) -> None:
        """End ARM's operation if this was the last item that it waits for."""
        arm = operation["arm"]
        if arm is None:
            return
        parts = {row.key: agent}
        for other in self.of(row.scope):
            newest = latest(self._store, unit, "resources", other.key)
            if newest is not None and newest.key != row.key:
                parts[newest.key] = newest.document["agent"]
        waiting = [part for key, part in parts.items() if key != row.key and _arm(part["operation"]) == arm]
        if waiting:
            return
        ends = [part["last"] for part in parts.values() if _arm(part["last"]) == arm]
        failed = next((end for end in ends if end["outcome"] != "Succeeded"), None)
        if failed is None:
            self._operations.succeed(unit, arm, **self._answer(unit, row, arm, operation["answer"]))
        elif failed["outcome"] == "Canceled":
            self._operations.cancel(unit, arm, failed["error"]["message"])
        else:
            self._operations.fail(unit, arm, failed["error"]["code"], failed["error"]["message"])

    def _answer(self, unit: Unit, row: Row, arm: str, answer: str) -> dict[str, Any]:
        match answer:
            case "resource":
                newest = latest(self._store, unit, "resources", row.key)
                shown = self._views[row.kind].shown(newest.document) if newest is not None else None
                return {"properties": shown}
            case "list":
                return {"properties": []}
            case "setup":
                return {"result": {"extensions": self._set_up(unit, row, arm)}}
            case _:
                return {}

    def _set_up(self, unit: Unit, row: Row, arm: str) -> list[Document]:
        rows = (latest(self._store, unit, "resources", other.key) or other for other in self.of(row.scope))
        return [
            self._views[other.kind].shown(other.document)["properties"]
            for other in rows
            if _arm(other.document["agent"]["last"]) == arm
        ]

    # -- six hours -----------------------------------------------------------------------------------------

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.table != "resources" or not _is_item(change.key):
                continue
            timer = f"{change.key}/queue"
            row = change.row
            operation = row.document["agent"]["operation"] if row and row.kind in self._views else None
            if operation is None or operation["pickedUp"]:
                self._plane.clock.cancel(timer)
            else:
                self._watch(timer, change.key, operation)

    def _watch(self, timer: str, key: str, operation: Document) -> None:
        due = times.read(operation["expiresAt"])
        self._plane.clock.call_at(due, timer, lambda: self._expire(key, operation["operationId"]))

    async def _expire(self, key: str, operation_id: str) -> None:
        row = self._store.get("resources", key)
        operation = row.document["agent"]["operation"] if row is not None else None
        if (
            row is None
            or operation is None
            or operation["operationId"] != operation_id
            or operation["pickedUp"]
        ):
            return
        async with self._store.unit() as unit:
            agent: Document = dict(row.document["agent"])
            agent["goal"], agent["operation"] = agent["settled"], None
            agent["last"] = _ended(operation, "Expired", EXPIRED)
            agent["secret"] = {}
            agent["since"] = self.goals.changed(unit, row.scope)
            properties = {**row.document["properties"], "provisioningState": "Failed"}
            self.keep(unit, row.scope, {**row.document, "properties": properties, "agent": agent})
            self._close(unit, row, agent, operation)


def _is_item(key: str) -> bool:
    return "/extensions/" in key or "/runcommands/" in key


def _arm(part: Document | None) -> str | None:
    return part["arm"] if part is not None else None


def _ended(operation: Document, outcome: str, error: Document | None) -> Document:
    return {
        "operationId": operation["operationId"],
        "arm": operation["arm"],
        "outcome": outcome,
        "error": error,
    }


def _failure(report: Document) -> str:
    """The agent's words for a failure."""
    texts = ((report.get("instanceView") or {}).get("message"), (report.get("handler") or {}).get("message"))
    return next((text for text in texts if text), f"The operation ended as {report['state']}.")


def _installed(goal: Document, report: Document) -> Document:
    """The goal with the version that the machine has in the end: after a failed upgrade the one before."""
    return {**goal, "version": report.get("typeHandlerVersion") or goal["version"]}
