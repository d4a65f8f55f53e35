"""Reading the activity log (ActivityLogs_List, EventCategories_List; api-version 2015-04-01)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from arcbed_cloud.arm import activity, filters, times
from arcbed_cloud.arm.activity import JOURNAL, KEEP_ROWS
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.paging import page_of
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb
from arcbed_cloud.store.contract import Document, Row

API_VERSIONS = ["2015-04-01"]
KEPT = timedelta(days=90)
PAGE_SIZE = 200
_LAST = 10**15
CATEGORIES = (
    ("Administrative", "Administrative"),
    ("Security", "Security"),
    ("ServiceHealth", "Service Health"),
    ("Alert", "Alert"),
    ("Recommendation", "Recommendation"),
    ("Policy", "Policy"),
    ("Autoscale", "Autoscale"),
    ("ResourceHealth", "Resource Health"),
)
# Field of the filter -> where it stands in an event.
_FIELDS: dict[str, Callable[[Document], str]] = {
    "resourcegroupname": lambda event: event["resourceGroupName"],
    "resourceuri": lambda event: event["resourceId"],
    "resourceid": lambda event: event["resourceId"],
    "resourceprovider": lambda event: event["resourceProviderName"]["value"],
    "resourcetype": lambda event: event["resourceType"]["value"],
    "correlationid": lambda event: event["correlationId"],
    "operationname": lambda event: event["operationName"]["value"],
    "status": lambda event: event["status"]["value"],
    "levels": lambda event: event["level"],
    "caller": lambda event: event["caller"],
    "eventchannels": lambda event: event["channels"],
}
_OPERATORS = {
    "eventtimestamp": "ge le gt lt",
    **dict.fromkeys(_FIELDS, "eq"),
}

SCHEMAS: dict[str, Any] = {
    "EventData": {"type": "object", "required": ["id", "eventDataId", "eventTimestamp", "operationName"]},
    "EventDataCollection": {
        "type": "object",
        "required": ["value"],
        "properties": {
            "value": {"type": "array", "items": {"$ref": "#/components/schemas/EventData"}},
            "nextLink": {"type": "string"},
        },
    },
    "EventCategoryCollection": {"type": "object", "required": ["value"]},
}


@dataclass(frozen=True, slots=True)
class _Entry:
    """An event, and the key by which the newest comes first."""

    key: str
    event: Document


class BareError(ArmError):
    """The activity log answers errors without the ``error`` envelope."""

    def body(self) -> bytes:
        """``{"code", "message"}``."""
        return orjson.dumps({"code": self.code, "message": self.message})


def _bad(message: str) -> BareError:
    return BareError(400, "BadRequest", message, cause="service")


class Events:
    """The handlers."""

    def __init__(self, context: ProviderContext) -> None:
        self._context = context

    async def list_all(self, request: ArmRequest) -> ArmResponse:
        """Events of the subscription, newest first. ``$filter`` is mandatory and starts with a time."""
        if request.target.names[0].lower() != "management":
            raise ArmError(404, "NotFound", f"There are no events of type '{request.target.names[0]}'.")
        text = request.query.get("$filter", "")
        if not text.strip():
            raise _bad("The $filter query parameter is required and must contain a start time.")
        test = self._test(text)
        scope = (request.target.subscription or "").lower()
        found = self._context.plane.store.tail(JOURNAL, scope=scope, limit=KEEP_ROWS)
        tenant_id = self._context.directory.tenant_id
        kept = [entry for row in reversed(found) for entry in _entries(row, tenant_id) if test(entry.event)]
        select = {word.strip() for word in request.query.get("$select", "").split(",") if word.strip()}
        return page_of(
            request,
            kept,
            lambda entry: _shown(entry.event, select),
            key=lambda entry: entry.key,
            size=PAGE_SIZE,
        )

    async def list_categories(self, _request: ArmRequest) -> ArmResponse:
        """The eight categories."""
        return ArmResponse(
            document={"value": [{"value": value, "localizedValue": text} for value, text in CATEGORIES]}
        )

    def _test(self, text: str) -> Callable[[Document], bool]:
        try:
            expression = filters.parse(text)
            filters.restrict(text, expression, _OPERATORS, set())
        except ArmError as error:
            raise _bad(error.message) from None
        instants = {
            leaf.value: _instant(leaf.value)
            for leaf in filters.leaves(expression)
            if isinstance(leaf, filters.Comparison) and leaf.field == "eventtimestamp"
        }
        starts = [
            instants[leaf.value]
            for leaf in filters.leaves(expression)
            if isinstance(leaf, filters.Comparison)
            and leaf.field == "eventtimestamp"
            and leaf.operator in {"ge", "gt"}
        ]
        if not starts:
            raise _bad("The $filter query parameter must contain a start time: eventTimestamp ge '...'.")
        horizon = self._context.plane.clock.now() - KEPT
        if min(starts) < horizon:
            raise _bad("The start time cannot be more than 90 days in the past.")

        def holds(event: Document) -> bool:
            return filters.holds(expression, lambda leaf: _leaf(event, leaf, instants))

        return holds


def _instant(text: str) -> datetime:
    try:
        return times.read(text)
    except (ValueError, OverflowError):
        raise _bad(f"The time '{text}' in the $filter query parameter is not valid.") from None


def _leaf(event: Document, leaf: filters.Comparison | filters.Call, instants: dict[str, datetime]) -> bool:
    if isinstance(leaf, filters.Call):
        return False
    if leaf.field == "eventtimestamp":
        return filters.compare(leaf.operator, event["eventTimestamp"], times.iso7(instants[leaf.value]))
    wanted = leaf.value.split(",") if leaf.field in {"levels", "eventchannels"} else [leaf.value]
    held = _FIELDS[leaf.field](event)
    return any(filters.compare("eq", held, value.strip()) for value in wanted)


def _entries(row: Row, tenant_id: str) -> list[_Entry]:
    """The events of a row, newest first."""
    made = enumerate(activity.events(row.document, tenant_id))
    return [_Entry(f"{_LAST - int(row.key):015d}.{9 - place}", event) for place, event in made][::-1]


def _shown(event: Document, select: set[str]) -> bytes:
    if not select:
        return orjson.dumps(event)
    wanted = {name.lower() for name in select}
    return orjson.dumps({name: value for name, value in event.items() if name.lower() in wanted})


def resource_types(context: ProviderContext) -> list[ResourceType]:
    """Rows of the table."""
    handlers = Events(context)
    values = Verb(
        operation_id="ActivityLogs_List",
        method="GET",
        on=On.GROUP_LIST,
        handler=handlers.list_all,
        success=(200,),
        answer="EventDataCollection",
        parameters=("$filter", "$select"),
        permission="Microsoft.Insights/eventtypes/values/read",
    )
    categories = Verb(
        operation_id="EventCategories_List",
        method="GET",
        on=On.TENANT_LIST,
        handler=handlers.list_categories,
        success=(200,),
        answer="EventCategoryCollection",
        permission="",
    )
    return [
        ResourceType(
            namespace="Microsoft.Insights",
            path="eventtypes",
            scope=Scope.SUBSCRIPTION,
            api_versions=API_VERSIONS,
            verbs=(),
            name_parameter="eventType",
            name_pattern="management",
        ),
        ResourceType(
            namespace="Microsoft.Insights",
            path="eventtypes/values",
            scope=Scope.SUBSCRIPTION,
            api_versions=API_VERSIONS,
            verbs=(values,),
            name_parameter="eventName",
            schemas=SCHEMAS,
        ),
        ResourceType(
            namespace="Microsoft.Insights",
            path="eventcategories",
            scope=Scope.TENANT,
            api_versions=API_VERSIONS,
            verbs=(categories,),
            name_parameter="eventCategoryName",
            schemas=SCHEMAS,
        ),
    ]
