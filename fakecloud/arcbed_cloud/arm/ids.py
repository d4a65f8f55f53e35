"""ARM resource ids: parsed once, compared without regard to case, answered in the stored spelling."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote


@dataclass(frozen=True)
class ResourceId:
    """What a path names: an item, a collection (as many types as names, plus one type), or a scope.

    ``/subscriptions/s/resourceGroups/g/providers/Microsoft.HybridCompute/machines/m`` has subscription ``s``,
    group ``g``, namespace ``Microsoft.HybridCompute``, types ``("machines",)`` and names ``("m",)``. For an
    extension resource `scope` is the id of what it hangs on.
    """

    subscription: str | None = None
    group: str | None = None
    namespace: str | None = None
    types: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    scope: str = ""

    @property
    def type(self) -> str:
        """``Microsoft.HybridCompute/machines``, as spelled in the path."""
        return "/".join((self.namespace or "", *self.types))

    @property
    def name(self) -> str:
        """The last name, or an empty string."""
        return self.names[-1] if self.names else ""

    @property
    def is_item(self) -> bool:
        """True if every type has a name."""
        return bool(self.types) and len(self.types) == len(self.names)

    def __str__(self) -> str:
        return self.text

    @cached_property
    def text(self) -> str:
        """The id as a path; built once, for ids live as long as the routes that name them."""
        if self.namespace is None:
            return self.scope
        parts = [self.scope, "providers", self.namespace]
        for index, kind in enumerate(self.types):
            parts.append(kind)
            if index < len(self.names):
                parts.append(self.names[index])
        return "/".join(parts)

    @cached_property
    def key(self) -> str:
        """The id in lower case: the key of the store."""
        return self.text.lower()

    def child(self, kind: str, name: str) -> ResourceId:
        """The id of a child resource."""
        return ResourceId(
            self.subscription,
            self.group,
            self.namespace,
            (*self.types, kind),
            (*self.names, name),
            self.scope,
        )


def group_id(subscription: str, group: str) -> str:
    """``/subscriptions/{subscription}/resourceGroups/{group}``."""
    return f"/subscriptions/{subscription}/resourceGroups/{group}"


def parse(path: str) -> ResourceId:
    """Parse an ARM path. Empty segments (``providers/Microsoft.HybridCompute//machines``) are skipped.

    Scope prefixes are answered in ARM's spelling (``/resourceGroups/``); names keep theirs. Never raises:
    what does not fit becomes a scope without namespace.
    """
    parts = [unquote(part) for part in path.split("/") if part]
    subscription = group = None
    lowered = [part.lower() for part in parts]
    if len(parts) > 1 and lowered[0] == "subscriptions":
        subscription = parts[1]
        parts[0] = "subscriptions"
        if len(parts) > 3 and lowered[2] == "resourcegroups":
            group = parts[3]
            parts[2] = "resourceGroups"
    marks = [index for index, part in enumerate(lowered) if part == "providers"]
    if not marks or marks[-1] + 1 >= len(parts):
        return ResourceId(subscription, group, scope="".join(f"/{part}" for part in parts))
    mark = marks[-1]
    rest = parts[mark + 2 :]
    scope = "".join(f"/{part}" for part in parts[:mark])
    return ResourceId(subscription, group, parts[mark + 1], tuple(rest[0::2]), tuple(rest[1::2]), scope)
