"""Machines as ARM answers them: shaped by the api-version asked for, rendered once a row and version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import orjson

from arcbed_cloud.providers.hybridcompute.versions import STATUS_SINCE, at_least, has, unknown_members
from arcbed_cloud.store import Row

Children = Callable[[str], Sequence[Row]]


def render(row: Row, version: str, children: Children, *, instance_view: bool = False) -> bytes:
    """The JSON of one machine.

    Args:
        row: the stored machine, in the newest shape.
        version: the api-version asked for.
        children: the extension rows of a machine key.
        instance_view: ``$expand=instanceView``: `properties.extensions` shows each extension's state.
    """
    slot = f"{version}+instanceView" if instance_view else version
    ready = row.rendered.get(slot)
    if ready is None:
        rows = children(row.key)
        if rows or instance_view or _differs(row.document, version):
            document = shaped(row.document, version)
            _add_extensions(document, version, rows, instance_view=instance_view)
            ready = orjson.dumps(document)
        else:
            ready = row.body
        row.rendered[slot] = ready
    return ready


def _differs(document: dict[str, Any], version: str) -> bool:
    """False if a machine has nothing that `version` does not know, so that it is answered as it is stored."""
    properties = document["properties"]
    beside, inside = _suspects(version)
    return not (
        inside.isdisjoint(properties)
        and beside.isdisjoint(document)
        and properties.get("status") not in STATUS_SINCE
        and has(version, "properties.locationData")
    )


@cache
def _suspects(version: str) -> tuple[frozenset[str], frozenset[str]]:
    """Members, and members of ``properties``, that `version` does not know, or not all of."""
    paths = unknown_members(version)
    beside = frozenset(path[0] for path in paths if path[0] != "properties")
    return beside, frozenset(path[1] for path in paths if path[0] == "properties")


def shaped(document: dict[str, Any], version: str) -> dict[str, Any]:
    """A copy of a machine without what `version` does not know."""
    copy: dict[str, Any] = orjson.loads(orjson.dumps(document))
    for path in unknown_members(version):
        _drop(copy, path)
    properties = copy["properties"]
    status = properties.get("status")
    if status in STATUS_SINCE and not at_least(version, STATUS_SINCE[status]):
        del properties["status"]
    if not has(version, "properties.locationData") and (place := document["properties"].get("locationData")):
        properties["physicalLocation"] = place.get("name")
    return copy


def _drop(node: Any, path: tuple[str, ...]) -> None:
    if isinstance(node, list):
        for item in node:
            _drop(item, path)
    elif isinstance(node, dict) and path[0] in node:
        if len(path) == 1:
            del node[path[0]]
        else:
            _drop(node[path[0]], path[1:])


def _add_extensions(
    document: dict[str, Any], version: str, rows: Sequence[Row], *, instance_view: bool
) -> None:
    if rows and has(version, "resources"):
        document["resources"] = [
            {name: value for name, value in row.document.items() if name != "agent"} for row in rows
        ]
    if instance_view and has(version, "properties.extensions"):
        views = [row.document.get("properties", {}).get("instanceView") for row in rows]
        document["properties"].setdefault("extensions", [])
        if rows:
            document["properties"]["extensions"] = [view for view in views if view]
