"""``field`` of a policy rule: what a name or an alias means on a resource.

Source: Microsoft's article "Details of the policy definition rule structure", section Fields. An alias
``<type>/<path>`` names a property of resources of that type. ``Microsoft.HybridCompute/imageOffer`` is
derived from the operating system of a machine, for no property of it carries that name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TAG = re.compile(r"tags(?:\[\s*'?(?P<quoted>[^\]']+)'?\s*\]|\.(?P<plain>.+))", re.IGNORECASE)
_PLAIN = ("name", "type", "location", "id", "kind")
MACHINES = "microsoft.hybridcompute/machines"
_IMAGE_OFFER = "microsoft.hybridcompute/imageoffer"


def value(resource: Mapping[str, Any], field: str) -> Any:
    """What `field` is on `resource` (a document of ARM); None if it has no such member."""
    name = field.lower()
    if name in _PLAIN:
        return resource.get(name)
    if name == "fullname":
        return resource.get("name")
    if name == "tags":
        return resource.get("tags") or {}
    if name.startswith("identity."):
        return _walk(resource, field.split("."))
    if match := _TAG.fullmatch(field):
        return _member(resource.get("tags") or {}, match["quoted"] or match["plain"])
    return _aliased(resource, field)


def _aliased(resource: Mapping[str, Any], field: str) -> Any:
    kind = str(resource.get("type", "")).lower()
    if field.lower() == _IMAGE_OFFER:
        return _image_offer(resource) if kind == MACHINES else None
    if not field.lower().startswith(f"{kind}/"):
        return None
    path = field[len(kind) + 1 :].split(".")
    found = _walk(resource.get("properties") or {}, path)
    return _walk(resource, path) if found is None else found


def _image_offer(resource: Mapping[str, Any]) -> str | None:
    system = _walk(resource.get("properties") or {}, ["osType"]) or _walk(
        resource.get("properties") or {}, ["osName"]
    )
    return str(system).lower() if system else None


def _walk(node: Any, path: list[str]) -> Any:
    for index, part in enumerate(path):
        if part.endswith("[*]"):
            items = _member(node, part[:-3])
            if not isinstance(items, list):
                return []
            rest = path[index + 1 :]
            return [_walk(item, rest) for item in items] if rest else items
        node = _member(node, part)
        if node is None:
            return None
    return node


def _member(node: Any, name: str) -> Any:
    if not isinstance(node, Mapping):
        return None
    if name in node:
        return node[name]
    wanted = name.lower()
    return next((part for key, part in node.items() if key.lower() == wanted), None)
