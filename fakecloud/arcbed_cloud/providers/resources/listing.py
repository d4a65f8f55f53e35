"""``/resources``: every tracked resource of a subscription or a group (Resources_List*)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from arcbed_cloud.arm import filters, versions
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.ids import group_id, parse
from arcbed_cloud.arm.paging import page
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb
from arcbed_cloud.arm.validation import normalised
from arcbed_cloud.providers.resources import schemas
from arcbed_cloud.providers.resources.groups import tagged
from arcbed_cloud.store.contract import Document, Row

MEMBERS = ("id", "name", "type", "kind", "managedBy", "sku", "plan", "location", "identity", "tags")
EXPANDABLE = ("createdTime", "changedTime", "provisioningState")
_FIELDS = {
    "resourcetype": "eq ne",
    "resourcegroup": "eq ne",
    "name": "eq ne",
    "location": "eq ne",
    "tagname": "eq",
    "tagvalue": "eq",
}
_CALLS = {"substringof", "startswith"}


class Listing:
    """The handlers."""

    def __init__(self, context: ProviderContext) -> None:
        self._context = context

    async def in_subscription(self, request: ArmRequest) -> ArmResponse:
        """All of a subscription."""
        return self._answer(request, f"/subscriptions/{request.target.subscription}".lower())

    async def in_group(self, request: ArmRequest) -> ArmResponse:
        """All of a resource group."""
        target = request.target
        return self._answer(request, group_id(target.subscription or "", target.group or "").lower())

    def _answer(self, request: ArmRequest, scope: str) -> ArmResponse:
        text = request.query.get("$filter", "")
        expression = filters.parse(text)
        filters.restrict(text, expression, _FIELDS, _CALLS)
        rows = [row for row in self._tracked() if row.key.startswith(scope + "/")]
        if expression is not None:
            rows = [row for row in rows if _holds(row, expression)]
        rows.sort(key=lambda row: row.key)
        return page(request, rows, _renderer(request.query.get("$expand", "")))

    def _tracked(self) -> list[Row]:
        store = self._context.plane.store
        return [
            row
            for kind, known in self._context.table.items()
            if known.tracked
            for row in store.rows("resources", kind=kind)
        ]


def _renderer(expand: str) -> Callable[[Row], bytes]:
    wanted = {word.strip().lower() for word in expand.split(",") if word.strip()}
    chosen = tuple(name for name in EXPANDABLE if name.lower() in wanted)
    if len(chosen) != len(wanted):
        raise ArmError(
            400,
            "InvalidExpandInQueryString",
            f"Invalid $expand '{expand}' specified in the query string. It takes '{','.join(EXPANDABLE)}'.",
        )
    name = f"resources:{','.join(chosen)}"

    def render(row: Row) -> bytes:
        body = row.rendered.get(name)
        if body is None:
            body = row.rendered[name] = orjson.dumps(_expanded(row.document, chosen))
        return body

    return render


def _expanded(document: Document, chosen: tuple[str, ...]) -> Document:
    shown: Document = {name: document[name] for name in MEMBERS if document.get(name) is not None}
    system: dict[str, Any] = document.get("systemData") or {}
    more = {
        "createdTime": system.get("createdAt"),
        "changedTime": system.get("lastModifiedAt"),
        "provisioningState": (document.get("properties") or {}).get("provisioningState"),
    }
    shown.update({name: more[name] for name in chosen if more[name] is not None})
    return shown


def _holds(row: Row, expression: filters.Expression) -> bool:
    document = row.document
    names = [leaf for leaf in filters.leaves(expression) if isinstance(leaf, filters.Comparison)]
    if names and all(leaf.field in {"tagname", "tagvalue"} for leaf in names):
        return tagged(document.get("tags") or {}, expression)
    return filters.holds(expression, lambda leaf: _leaf(document, leaf))


def _leaf(document: Document, leaf: filters.Comparison | filters.Call) -> bool:
    if isinstance(leaf, filters.Call):
        return _call(document, leaf)
    if leaf.field in {"tagname", "tagvalue"}:
        return tagged(document.get("tags") or {}, leaf)
    wanted = normalised(leaf.value) if leaf.field == "location" else leaf.value
    return filters.compare(leaf.operator, _field(document, leaf.field), wanted)


def _call(document: Document, call: filters.Call) -> bool:
    if len(call.arguments) != 2:
        return False
    first, second = call.arguments
    if call.name == "substringof":
        return first.lower() in _field(document, second.lower()).lower()
    return _field(document, first.lower()).lower().startswith(second.lower())


def _field(document: Document, field: str) -> str:
    match field:
        case "resourcetype":
            return str(document["type"])
        case "resourcegroup":
            return parse(document["id"]).group or ""
        case "location":
            return normalised(str(document.get("location", "")))
        case "name":
            return str(document["name"])
    return ""


def resource_types(context: ProviderContext) -> list[ResourceType]:
    """Rows of the table."""
    handlers = Listing(context)

    def row(path: str, operation_id: str, on: On, handler: Any) -> ResourceType:
        verb = Verb(
            operation_id=operation_id,
            method="GET",
            on=on,
            handler=handler,
            success=(200,),
            answer="ResourceListResult",
            parameters=("$filter", "$expand", "$top"),
        )
        return ResourceType(
            namespace="Microsoft.Resources",
            path=path,
            scope=Scope.SUBSCRIPTION,
            api_versions=versions.RESOURCES,
            verbs=(verb,),
            name_parameter="resourceName",
            root=True,
            schemas=schemas.RESOURCES,
        )

    return [
        row("subscriptions/resources", "Resources_List", On.SUBSCRIPTION_LIST, handlers.in_subscription),
        row(
            "subscriptions/resourceGroups/resources",
            "Resources_ListByResourceGroup",
            On.GROUP_LIST,
            handlers.in_group,
        ),
    ]
