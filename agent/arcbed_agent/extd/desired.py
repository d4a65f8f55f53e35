"""What a pull changes: the answer is the whole goal state, a missing item is to be removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from arcbed_agent.extd.goal import Goal, GoalError, Item, read_item
from arcbed_agent.extd.records import Extension
from arcbed_agent.extd.secrets import Secrets
from arcbed_agent.extd.store import Store
from arcbed_agent.extd.vault import Vault


@dataclass(frozen=True)
class Changes:
    """What was new.

    Args:
        wanted: names of extensions with another goal.
        gone: names that the service does not list any more.
        refused: items that cannot be used, with the reason.
    """

    wanted: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def apply(store: Store, document: Mapping[str, Any], vault: Vault, secrets: Secrets) -> Changes:
    """Make the goals in `store` what `document` says; a document that is applied again changes nothing more.

    Args:
        store: changed one extension at a time.
        document: the answer to a pull.
        vault: seals protected settings before they touch the disk.
        secrets: told of them first, so that they stay out of logs and reports.
    """
    wanted: list[str] = []
    refused: list[str] = []
    listed: set[str] = set()
    for entry in document["value"]:
        name = str(entry.get("name", "")) if isinstance(entry, dict) else ""
        listed.add(name)
        try:
            item = read_item(entry)
        except GoalError as error:
            refused.append(f"{name}: {error}")
            continue
        if _take(store, item, vault, secrets):
            wanted.append(name)
    gone = [one.name for one in store if one.name not in listed and _leave(store, one)]
    return Changes(tuple(wanted), tuple(gone), tuple(refused))


def _take(store: Store, item: Item, vault: Vault, secrets: Secrets) -> bool:
    """Whether the goal differs from the one that was known."""
    goal, known = item.goal, store.get(item.goal.name)
    if known is not None and _same(known.wanted, goal):
        if goal.package is not None and known.wanted.package != goal.package:
            _refresh(store, known, replace(known.wanted, package=goal.package))
        return False
    sealed = known.protected if known else ""
    if item.protected is not None:
        secrets.learn(goal.handler, item.protected)
        sealed = vault.seal(item.protected) if item.protected else ""
    fresh = replace(known, goal=goal.to_json(), protected=sealed) if known else None
    made = fresh or Extension(goal=goal.to_json(), protected=sealed)
    store.put(_answered(_reached(made, goal), goal), power_loss=True)
    return True


def _same(known: Goal, goal: Goal) -> bool:
    """An item without an operation is one whose operation the service has seen end."""
    same_operation = not goal.operation_id or known.operation_id == goal.operation_id
    return known.target == goal.target and same_operation


def _refresh(store: Store, known: Extension, goal: Goal) -> None:
    """A fresh address of the package is no change, neither for an operation that is under way."""
    work = known.work
    if work is not None and work["goal"] == known.goal:
        work = {**work, "goal": goal.to_json()}
    store.put(replace(known, goal=goal.to_json(), work=work))


def _reached(extension: Extension, goal: Goal) -> Extension:
    """What is listed after the end of an operation has the version that was told in the end.

    After an upgrade that failed, that is the one before; there is nothing to do for it.
    """
    done, result = extension.done, extension.result
    if goal.operation_id or extension.work is not None or not done or not result:
        return extension
    if done[1] != result["sequenceNumber"]:
        return extension
    told = [result["typeHandlerVersion"], *done[1:]]
    return replace(extension, done=told) if told == list(goal.target) else extension


def _answered(extension: Extension, goal: Goal) -> Extension:
    """A new operation for what is so already is answered with how it went."""
    result = extension.result
    if (
        extension.done != list(goal.target)
        or extension.work is not None
        or not result
        or not goal.operation_id
    ):
        return extension
    result = {**result, "operationId": goal.operation_id}
    return replace(extension, result=result, report={**result, "phase": "Done"})


def _leave(store: Store, known: Extension) -> bool:
    """An extension that is not listed: remove it, or forget it once it is removed."""
    goal = known.wanted
    if goal.removal and known.settled:
        store.remove(known.name)
        return True
    if goal.removal and not goal.operation_id:
        return False
    store.put(replace(known, goal=goal.removed().to_json(), report=None), power_loss=True)
    return True
