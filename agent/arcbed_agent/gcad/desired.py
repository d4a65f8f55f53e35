"""What a pull changes: the answer is the whole desired state, a missing item is to be removed.

``docs/wire.md`` sections 11.1, 11.3 and 11.4. `itemGeneration` decides what is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcbed_agent.gcad.records import Assignment, Changes, generation
from arcbed_agent.gcad.store import Store, usable


def apply(store: Store, document: Mapping[str, Any], *, reapply: bool) -> Changes:
    """Make `store` what `document` says.

    Args:
        store: changed one assignment at a time; a pull that is applied again changes nothing more.
        document: the answer.
        reapply: every assignment is published and run again, changed or not.
    """
    wanted: dict[str, dict[str, Any]] = {}
    refused: list[str] = []
    for item in document["value"]:
        name = str(item.get("name", "")) if isinstance(item, dict) else ""
        if not usable(name) or not isinstance(item.get("guestConfiguration"), dict):
            refused.append(name)
            continue
        wanted[name] = item
    gone = [assignment.name for assignment in store if assignment.name not in wanted]
    for name in gone:
        store.remove(name)
    if gone:
        store.tidy()
    fresh = [name for name, item in wanted.items() if _take(store, name, item, reapply=reapply)]
    return Changes(tuple(fresh), tuple(gone), tuple(refused))


def _take(store: Store, name: str, item: dict[str, Any], *, reapply: bool) -> bool:
    """Whether the item asks for a publication."""
    known = store.get(name)
    if known is None:
        store.put(Assignment(name=name, item=item), power_loss=True)
        return True
    if reapply or generation(known.item) != generation(item):
        store.put(known.refreshed(item), power_loss=True)
        return True
    if known.stale:
        # A failed download is tried again with each pull, and with the address that the pull brought.
        store.put(known.refreshed(item))
        return True
    return False


def retry(store: Store) -> bool:
    """A pull without news: what could not be published is tried again; whether there is such."""
    waiting = [item for item in store if item.stale and item.gave_up]
    for item in waiting:
        store.put(item.refreshed(item.item))
    return bool(waiting)
