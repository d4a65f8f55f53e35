"""From a path to the row and the verbs of the table: two dictionary look-ups, remembered per path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.ids import ResourceId, group_id, parse
from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb, parameter

ROOT_NAMESPACE = "Microsoft.Resources"
_ROOT = ROOT_NAMESPACE.lower()
_REMEMBERED = 20_000
_LISTS = (On.GROUP_LIST, On.SUBSCRIPTION_LIST, On.TENANT_LIST)
# Where items of a type with `parents` are listed besides their parents, by the depth of the scope.
_PLACES = {4: (On.GROUP_LIST,), 2: (On.SUBSCRIPTION_LIST,)}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a method does to a route: the operation, and the permission it needs (empty: none)."""

    verb: Verb
    action: str


@dataclass(frozen=True, slots=True)
class Route:
    """What a path means.

    `scope` is what RBAC checks against: the item, or what a collection hangs on. `parent` is the key of the
    item that must exist, with its id, for children of tracked resources and for extension resources of a
    resource. `subscription` and `group` are the store's keys of those that the path names.
    """

    target: ResourceId
    row: ResourceType
    on: On
    verbs: Mapping[str, tuple[Verb, ...]]
    scope: str
    parameters: Mapping[str, str]
    subscription: str | None = None
    group: str | None = None
    parent: ResourceId | None = None
    _plans: dict[tuple[str, str], Plan] = field(default_factory=dict, repr=False, compare=False)

    def plan(self, method: str, api_version: str) -> Plan | None:
        """The operation, or None if method or version do not have it. HEAD is answered through GET.

        Remembered by method and version, of which the table has few.
        """
        plan = self._plans.get((method, api_version))
        if plan is None and (verb := self._verb(method, api_version)) is not None:
            action = self.row.permission(verb)
            if "{" in action:
                action = action.format_map(self.parameters)
            plan = self._plans[method, api_version] = Plan(verb, action)
        return plan

    def _verb(self, method: str, api_version: str) -> Verb | None:
        found = self.verbs.get(method) or (self.verbs.get("GET", ()) if method == "HEAD" else ())
        for verb in found:
            if (verb.since or "") <= api_version and (verb.until is None or api_version <= verb.until):
                return verb
        return None


def _parent_of(target: ResourceId) -> ResourceId:
    """The item that the last type of `target` hangs on."""
    return ResourceId(
        target.subscription,
        target.group,
        target.namespace,
        target.types[:-1],
        target.names[: len(target.types) - 1],
        target.scope,
    )


def _hangs_on(parents: Sequence[str], item: ResourceId) -> bool:
    return item.is_item and item.type.lower() in {kind.lower() for kind in parents}


class Router:
    """The table itself (`types`, keyed by lower-case type) and the ways into it."""

    def __init__(self) -> None:
        self.types: dict[str, ResourceType] = {}
        self.namespaces: dict[str, str] = {}
        self._verbs: dict[tuple[str, On, str], dict[str, tuple[Verb, ...]]] = {}
        self._loose: dict[tuple[str, str], ResourceType] = {}
        self._routes: dict[str, Route] = {}

    def register(self, types: Iterable[ResourceType]) -> None:
        """Add rows.

        Raises:
            ValueError: a type is there already.
        """
        for row in types:
            key = row.type.lower()
            if key in self.types:
                raise ValueError(f"{row.type} is in the table already")
            self.types[key] = row
            self.namespaces.setdefault(row.namespace.lower(), row.namespace)
            grouped: dict[tuple[str, On, str], dict[str, list[Verb]]] = defaultdict(lambda: defaultdict(list))
            for verb in row.verbs:
                action = (verb.action or "").lower()
                grouped[key, verb.on, action][verb.method].append(verb)
                if verb.on is On.SUBSCRIPTION_ACTION:
                    self._loose[row.namespace.lower(), action] = row
            for name, methods in grouped.items():
                self._verbs[name] = {method: tuple(verbs) for method, verbs in methods.items()}
        self._routes.clear()

    def find(self, path: str, api_version: str) -> Route:
        """What `path` means.

        Raises:
            ArmError: 404 InvalidResourceNamespace or InvalidResourceType.
        """
        route = self._routes.get(path)
        if route is None:
            route = self._resolve(parse(path), api_version)
            if len(self._routes) >= _REMEMBERED:
                self._routes.clear()
            self._routes[path] = route
        return route

    # -- resolving -----------------------------------------------------------------------------------------

    def _resolve(self, target: ResourceId, api_version: str) -> Route:
        route = self._root(target) or (self._provided(target) if target.namespace else None)
        if route is not None:
            return route
        namespace = target.namespace or ROOT_NAMESPACE
        if namespace.lower() not in self.namespaces:
            raise ArmError(
                404, "InvalidResourceNamespace", f"The resource namespace '{namespace}' is invalid."
            )
        raise ArmError(
            404,
            "InvalidResourceType",
            f"The resource type could not be found in the namespace '{namespace}' for api version "
            f"'{api_version}'.",
        )

    def _root(self, target: ResourceId) -> Route | None:
        """Paths without a provider: subscriptions, groups, locations, and the providers themselves."""
        segments = target.scope.split("/")[1:]
        if target.namespace is not None:
            if len(target.types) > 1 or target.names:
                return None
            segments = [*segments, "providers", target.namespace, *target.types]
        types, names = segments[0::2], segments[1::2]
        key = f"{_ROOT}/{'/'.join(types).lower()}"
        row = self.types.get(key)
        if row is not None and row.root:
            if len(types) == len(names):
                return self._route(target, row, On.ITEM, "", self._root_parameters(row, names))
            lists = [on for on in _LISTS if (key, on, "") in self._verbs]
            if not lists:
                return None
            return self._route(target, row, lists[0], "", self._root_parameters(row, names))
        if len(types) != len(names) + 1 or len(types) < 2:
            return None
        key, action = f"{_ROOT}/{'/'.join(types[:-1]).lower()}", types[-1].lower()
        if (key, On.ACTION, action) not in self._verbs:
            return None
        row = self.types[key]
        return self._route(target, row, On.ACTION, action, self._root_parameters(row, names))

    def _root_parameters(self, row: ResourceType, names: list[str]) -> dict[str, str]:
        kinds = row.path.split("/")
        return {
            parameter(self.types, ROOT_NAMESPACE, kinds[: index + 1]): name
            for index, name in enumerate(names)
        }

    def _provided(self, target: ResourceId) -> Route | None:
        if not target.types:
            return None
        namespace = (target.namespace or "").lower()
        key = target.type.lower()
        row = self.types.get(key)
        route = self._on_type(target, row, key) if row is not None and not row.root else None
        if route is not None:
            return route
        action = target.types[-1].lower()
        if len(target.types) == len(target.names) + 1 and target.names:
            parent = _parent_of(target).type.lower()
            row = self.types.get(parent)
            known = (parent, On.ACTION, action) in self._verbs
            if known and row is not None and self._lives_at(row, target):
                return self._route(target, row, On.ACTION, action, self._parameters(row, target))
        if len(target.types) == 1 and not target.group and (loose := self._loose.get((namespace, action))):
            return self._route(target, loose, On.SUBSCRIPTION_ACTION, action, self._parameters(loose, target))
        return None

    def _on_type(self, target: ResourceId, row: ResourceType, key: str) -> Route | None:
        parameters = self._parameters(row, target)
        if target.is_item:
            if self._lives_at(row, target):
                both = row.scope is Scope.SUBSCRIPTION_AND_TENANT
                on = On.TENANT_ITEM if both and target.subscription is None else On.ITEM
                return self._route(target, row, on, "", parameters)
            action = target.name.lower()
            if (key, On.SUBSCRIPTION_ACTION, action) in self._verbs:
                return self._route(target, row, On.SUBSCRIPTION_ACTION, action, parameters)
            return None
        for on in self._candidates(row, target):
            if (key, on, "") in self._verbs:
                return self._route(target, row, on, "", parameters)
        # A collection that nothing can be asked of, such as the parent of a PUT: 405 rather than 404.
        return (
            self._route(target, row, On.GROUP_LIST, "", parameters) if self._lives_at(row, target) else None
        )

    @staticmethod
    def _candidates(row: ResourceType, target: ResourceId) -> tuple[On, ...]:
        if row.parents:
            if Router._lives_at(row, target):
                return (On.EXTENSION_LIST,)
            return () if target.names else _PLACES.get(target.scope.count("/"), ())
        if row.scope is Scope.ANY:
            if target.group or target.names:
                return _LISTS
            return (On.SUBSCRIPTION_LIST, On.GROUP_LIST) if target.subscription else _LISTS[::-1]
        if row.scope is Scope.SUBSCRIPTION_AND_TENANT:
            if not Router._lives_at(row, target):
                return ()
        elif target.names:
            return _LISTS if Router._lives_at(row, target) else ()
        if target.group:
            return (On.GROUP_LIST,)
        return (On.SUBSCRIPTION_LIST,) if target.subscription else (On.TENANT_LIST,)

    @staticmethod
    def _lives_at(row: ResourceType, target: ResourceId) -> bool:
        depth = target.scope.count("/")
        match row.scope:
            case Scope.GROUP:
                return target.group is not None and depth == 4
            case Scope.SUBSCRIPTION:
                return target.subscription is not None and depth == 2
            case Scope.TENANT:
                return depth == 0
            case Scope.SUBSCRIPTION_AND_TENANT:
                return depth == 0 or (target.subscription is not None and depth == 2)
            case Scope.ANY:
                return not row.parents or _hangs_on(row.parents, parse(target.scope))

    def _parameters(self, row: ResourceType, target: ResourceId) -> dict[str, str]:
        found: dict[str, str] = {}
        if row.scope is Scope.ANY:
            found["scope"] = target.scope
        if target.subscription is not None:
            found["subscriptionId"] = target.subscription
        if target.group is not None:
            found["resourceGroupName"] = target.group
        for index, name in enumerate(target.names):
            found[parameter(self.types, target.namespace or "", target.types[: index + 1])] = name
        return found

    def _route(
        self, target: ResourceId, row: ResourceType, on: On, action: str, parameters: Mapping[str, str]
    ) -> Route:
        if row.root:
            bare = on is On.ITEM or target.namespace is not None
            scope = target.scope if bare else target.scope.rpartition("/")[0]
        else:
            item = target if on in {On.ITEM, On.TENANT_ITEM} else _parent_of(target)
            scope = str(item) if item.types else item.scope
        subscription, group = target.subscription, target.group
        return Route(
            target=target,
            row=row,
            on=on,
            verbs=self._verbs.get((row.type.lower(), on, action), {}),
            scope=scope or "/",
            parameters=parameters,
            subscription=None if subscription is None else f"/subscriptions/{subscription}".lower(),
            group=None if group is None else group_id(subscription or "", group).lower(),
            parent=self._parent(target, row, on),
        )

    def _parent(self, target: ResourceId, row: ResourceType, on: On) -> ResourceId | None:
        """Of a child, an action or an extension resource: the tracked item that must be there."""
        if row.root or on in {On.SUBSCRIPTION_ACTION, On.TENANT_LIST, On.SUBSCRIPTION_LIST}:
            return None
        candidate = parse(target.scope) if row.scope is Scope.ANY else _parent_of(target)
        known = self.types.get(candidate.type.lower()) if candidate.is_item else None
        return candidate if known is not None and known.tracked else None
