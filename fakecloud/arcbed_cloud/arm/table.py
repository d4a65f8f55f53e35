"""The table of resource types: what routing, validation, RBAC, activity log and OpenAPI read.

A provider declares `ResourceType` rows; adding a type means one module with its handlers and one row.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.store.contract import Row, Unit

Handler = Callable[[ArmRequest], Awaitable[ArmResponse]]
OnDelete = Callable[[Unit, Row], None]

_WORDS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


class On(Enum):
    """What a verb is called on."""

    ITEM = "item"
    TENANT_ITEM = "item in the tenant, of a type that lives in subscriptions too"
    GROUP_LIST = "list in a resource group (or in a parent resource, or at a scope for extension types)"
    EXTENSION_LIST = "list on the resource that items of an extension type with `parents` hang on"
    SUBSCRIPTION_LIST = "list in a subscription"
    TENANT_LIST = "list in the tenant"
    ACTION = "POST to a segment below an item"
    SUBSCRIPTION_ACTION = "POST to a segment below the type, in a subscription"


class Scope(Enum):
    """Where items of a type live."""

    GROUP = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}"
    SUBSCRIPTION = "/subscriptions/{subscriptionId}"
    TENANT = ""
    SUBSCRIPTION_AND_TENANT = "/subscriptions/{subscriptionId} or nothing"
    ANY = "/{scope}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verb:
    """One operation of a type.

    Args:
        operation_id: Microsoft's swagger operation, e.g. ``Machines_Get``.
        success: the codes that generated clients accept for it.
        action: the last segment of an action.
        permission: ``namespace/type/verb``; derived from method and type when left out, empty: any caller
            may. body, answer: names of component schemas for the OpenAPI document, from the provider's
            ``schemas``. since, until: first and last api-version that has the operation; None: all.
        logged: writes go to the activity log.
    """

    operation_id: str
    method: str
    on: On
    handler: Handler
    success: tuple[int, ...]
    action: str | None = None
    permission: str | None = None
    body: str | None = None
    answer: str | None = None
    since: str | None = None
    until: str | None = None
    parameters: tuple[str, ...] = ()
    logged: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceType:
    """One row of the table.

    Args:
        namespace: e.g. ``Microsoft.HybridCompute``.
        path: type path below it, e.g. ``machines/extensions``.
        api_versions: newest first.
        locations: display names of the regions where it exists; empty: everywhere.
        name_pattern: regular expression of the last name (whole match).
        name_parameter: its name in the path template, e.g. ``machineName``.
        tracked: has location and tags, is listed by ``/resources``; its rows are in the table ``resources``.
        on_delete: called with the unit and the row before ARM deletes an item together with its group or
            parent.
        parents: of an extension type (`Scope.ANY`) whose items hang on resources of certain types only:
            those types; OpenAPI shows the first.
        shown: of a type that lives at any scope: where OpenAPI and the coverage page show its items; None: in
            a resource group.
        root: its paths carry no ``/providers/{namespace}`` (subscriptions, resource groups, ...); `path` then
            starts
            with the first segment.
    """

    namespace: str
    path: str
    scope: Scope
    api_versions: Sequence[str]
    verbs: Sequence[Verb]
    name_parameter: str
    locations: Sequence[str] = ()
    name_pattern: str | None = None
    tracked: bool = False
    capabilities: str = "None"
    schemas: Mapping[str, Any] = field(default_factory=dict)
    on_delete: OnDelete | None = None
    parents: Sequence[str] = ()
    shown: Scope | None = None
    root: bool = False

    @property
    def type(self) -> str:
        """``namespace/path`` in its official spelling."""
        return f"{self.namespace}/{self.path}"

    def permission(self, verb: Verb) -> str:
        """What RBAC checks: GET read, PUT and PATCH write, DELETE delete, POST ``{segment}/action``."""
        return self.derived(verb) if verb.permission is None else verb.permission

    def derived(self, verb: Verb) -> str:
        """The action's name by ARM's rule, also where no role is asked for."""
        if verb.action is not None:
            return f"{self.type}/{verb.action}/action"
        return f"{self.type}/{_WORDS[verb.method]}"


def parameter(types: Mapping[str, ResourceType], namespace: str, kinds: Sequence[str]) -> str:
    """Name of the path parameter behind a type, also for a parent type that has no row."""
    row = types.get(f"{namespace}/{'/'.join(kinds)}".lower())
    if row is not None:
        return row.name_parameter
    kind = kinds[-1]
    return "location" if kind.lower() == "locations" else f"{kind.removesuffix('s')}Name"
