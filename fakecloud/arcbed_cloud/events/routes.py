"""Route templates: a path with what names a thing replaced by what kind of thing it names."""

from __future__ import annotations

import re
from typing import Final

_GUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_NAMES: Final = {"subscriptions": "{subscriptionId}", "resourcegroups": "{resourceGroupName}"}


def template(path: str) -> str:
    """``/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/NS/type/{name}``."""
    parts = path.split("/")
    found: list[str] = []
    since = 0  # segments since "providers": the namespace, then types and names in turns
    for before, part in zip(["", *parts], parts, strict=False):
        since = 1 if before.lower() == "providers" else since + 1 if since else 0
        named = _NAMES.get(before.lower()) if since < 2 else None
        if named and part:
            found.append(named)
        elif since >= 3 and since % 2 and part and part.lower() != "providers":
            found.append("{name}")
        else:
            if part.lower() == "providers":
                since = 0
            found.append(_GUID.sub("{id}", part))
    return "/".join(found)
