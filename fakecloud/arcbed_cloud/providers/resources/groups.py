"""Resource groups (swagger operations ``ResourceGroups_*``)."""

from __future__ import annotations

import re
from typing import Any

from arcbed_cloud.arm import cascade, filters, validation, versions
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError, group_not_found, invalid_content
from arcbed_cloud.arm.ids import group_id
from arcbed_cloud.arm.paging import page
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb
from arcbed_cloud.providers.resources import regions, schemas
from arcbed_cloud.store.contract import Document, Row, Unit

KIND = "microsoft.resources/subscriptions/resourcegroups"
DELETE_WORK = "resources.group.delete"
NAME = r"[-\w\._\(\)]{1,90}"
_BATCH = 500


def group_document(
    subscription: str, name: str, location: str, tags: dict[str, str] | None = None
) -> Document:
    """A resource group as it is stored and answered."""
    document: Document = {
        "id": group_id(subscription, name),
        "name": name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": location,
        "properties": {"provisioningState": "Succeeded"},
    }
    return document if tags is None else {**document, "tags": tags}


def put_group(unit: Unit, document: Document) -> None:
    """Write a group's row; its scope is the subscription's id."""
    key = document["id"].lower()
    unit.put("resources", key, document, kind=KIND, scope=key.rpartition("/resourcegroups/")[0])


class ResourceGroups:
    """The handlers, and the work that deletes a group."""

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._store = context.plane.store
        context.operations.perform(DELETE_WORK, self._delete)

    async def put(self, request: ArmRequest) -> ArmResponse:
        """201 when new, 200 when it was there."""
        body = request.json()
        location = _location(body.get("location"))
        tags = None if body.get("tags") is None else validation.tags(body["tags"])
        _check_managed_by(body)
        name = _name(request)
        async with self._store.unit() as unit:
            before = self._row(request)
            if before is None:
                document = group_document(request.target.subscription or "", name, location, tags)
            else:
                document = _replaced(before, location, tags)
            if body.get("managedBy"):
                document["managedBy"] = body["managedBy"]
            put_group(unit, document)
        return ArmResponse(201 if before is None else 200, document)

    async def patch(self, request: ArmRequest) -> ArmResponse:
        """Replace the tags as a whole."""
        body = request.json()
        _check_managed_by(body)
        async with self._store.unit() as unit:
            before = self._found(request)
            _refuse_deleting(before)
            document = dict(before.document)
            if "tags" in body:
                document["tags"] = validation.tags(body["tags"])
            put_group(unit, document)
        return ArmResponse(200, document)

    async def get(self, request: ArmRequest) -> ArmResponse:
        """One group."""
        return ArmResponse(body=self._found(request).body)

    async def head(self, request: ArmRequest) -> ArmResponse:
        """204 or 404."""
        return ArmResponse(404 if self._row(request) is None else 204)

    async def list_all(self, request: ArmRequest) -> ArmResponse:
        """Groups of the subscription; takes ``tagName eq`` and ``tagValue eq``."""
        text = request.query.get("$filter", "")
        expression = filters.parse(text)
        filters.restrict(text, expression, {"tagname": "eq", "tagvalue": "eq"}, set())
        rows = self._store.rows(
            "resources", kind=KIND, scope=f"/subscriptions/{request.target.subscription}".lower()
        )
        if expression is not None:
            rows = [row for row in rows if tagged(row.document.get("tags") or {}, expression)]
        return page(request, rows, _body)

    async def delete(self, request: ArmRequest) -> ArmResponse:
        """202 with a ``Location`` that answers 202 until everything in the group is gone."""
        async with self._store.unit() as unit:
            before = self._found(request)
            document = {**before.document, "properties": {"provisioningState": "Deleting"}}
            put_group(unit, document)
            operation = self._context.operations.begin(
                unit,
                request,
                namespace=None,
                location=document["location"],
                work=DELETE_WORK,
                arguments={"key": before.key},
            )
        return ArmResponse(202, headers=operation.headers(request))

    async def _delete(self, operation: Document) -> None:
        """Delete in batches, so that a big group neither blocks others nor starts over after a crash."""
        key: str = operation["work"]["arguments"]["key"]
        table = self._context.table
        while len(doomed := cascade.below(self._store.rows("resources"), key)) > _BATCH:
            async with self._store.unit() as unit:
                for row in reversed(doomed[-_BATCH:]):
                    cascade.delete_row(unit, table, row)
        async with self._store.unit() as unit:
            cascade.delete_below(unit, self._store, table, key)
            unit.delete("resources", key)
            self._context.operations.succeed(unit, operation["name"])

    def _row(self, request: ArmRequest) -> Row | None:
        key = group_id(request.target.subscription or "", request.target.group or "").lower()
        return self._store.get("resources", key)

    def _found(self, request: ArmRequest) -> Row:
        row = self._row(request)
        if row is None:
            raise group_not_found(request.target.group or "")
        return row


def _body(row: Row) -> bytes:
    return row.body


def _name(request: ArmRequest) -> str:
    name = request.target.group or ""
    if re.fullmatch(NAME, name) is None or name.endswith("."):
        raise ArmError(
            400,
            "InvalidResourceGroupName",
            f"The provided resource group name '{name}' is invalid. It may be 1 to 90 characters long and "
            "hold "
            "alphanumeric characters, underscores, parentheses, hyphens and periods, but not end with a "
            "period.",
        )
    return name


def _check_managed_by(body: Document) -> None:
    if not isinstance(body.get("managedBy", ""), str | None):
        raise invalid_content("'managedBy' must be a string")


def _location(value: Any) -> str:
    if value is None or value == "":
        raise ArmError(400, "LocationRequired", "The location property is required for this definition.")
    if not isinstance(value, str):
        raise invalid_content("'location' must be a string")
    name = validation.normalised(value)
    if name not in regions.NAMES:
        raise ArmError(
            400,
            "LocationNotAvailableForResourceGroup",
            f"The provided location '{value}' is not available for resource group. "
            f"List of available regions is '{','.join(regions.NAMES)}'.",
        )
    return name


def _replaced(before: Row, location: str, tags: dict[str, str] | None) -> Document:
    _refuse_deleting(before)
    stored = before.document
    if stored["location"] != location:
        raise ArmError(
            409,
            "InvalidResourceGroupLocation",
            f"Invalid resource group location '{location}'. "
            f"The Resource group already exists in location '{stored['location']}'.",
        )
    document = {name: value for name, value in stored.items() if name != "tags"}
    return document if tags is None else {**document, "tags": tags}


def _refuse_deleting(row: Row) -> None:
    if row.document["properties"]["provisioningState"] == "Deleting":
        name = row.document["name"]
        raise ArmError(
            409,
            "ResourceGroupBeingDeleted",
            f"The resource group '{name}' is in deprovisioning state and cannot perform this operation.",
        )


def tagged(tags: dict[str, str], expression: filters.Expression) -> bool:
    """Evaluate ``tagName eq 'a' and tagValue eq 'b'``: in one conjunction both speak of the same tag."""
    if isinstance(expression, filters.Junction) and expression.word == "and":
        pairs = {leaf.field: leaf.value for leaf in expression.parts if isinstance(leaf, filters.Comparison)}
        if {"tagname", "tagvalue"} <= pairs.keys():
            return any(
                name.lower() == pairs["tagname"].lower() and value.lower() == pairs["tagvalue"].lower()
                for name, value in tags.items()
            )
    return filters.holds(expression, lambda leaf: _one_tag(tags, leaf))


def _one_tag(tags: dict[str, str], leaf: filters.Comparison | filters.Call) -> bool:
    if isinstance(leaf, filters.Call):
        return False
    entries = tags if leaf.field == "tagname" else tags.values()
    return any(entry.lower() == leaf.value.lower() for entry in entries)


def resource_types(context: ProviderContext) -> list[ResourceType]:
    """Rows of the table."""
    handlers = ResourceGroups(context)
    group = "ResourceGroup"
    verbs = (
        Verb(
            operation_id="ResourceGroups_List",
            method="GET",
            on=On.SUBSCRIPTION_LIST,
            handler=handlers.list_all,
            success=(200,),
            answer="ResourceGroupListResult",
            parameters=("$filter", "$top"),
        ),
        Verb(
            operation_id="ResourceGroups_CreateOrUpdate",
            method="PUT",
            on=On.ITEM,
            handler=handlers.put,
            success=(200, 201),
            body=group,
            answer=group,
        ),
        Verb(
            operation_id="ResourceGroups_Update",
            method="PATCH",
            on=On.ITEM,
            handler=handlers.patch,
            success=(200,),
            body="ResourceGroupPatchable",
            answer=group,
        ),
        Verb(
            operation_id="ResourceGroups_Get",
            method="GET",
            on=On.ITEM,
            handler=handlers.get,
            success=(200,),
            answer=group,
        ),
        Verb(
            operation_id="ResourceGroups_CheckExistence",
            method="HEAD",
            on=On.ITEM,
            handler=handlers.head,
            success=(204, 404),
        ),
        Verb(
            operation_id="ResourceGroups_Delete",
            method="DELETE",
            on=On.ITEM,
            handler=handlers.delete,
            success=(202,),
        ),
    )
    polling = Verb(
        operation_id="OperationResults_Get",
        method="GET",
        on=On.ITEM,
        handler=context.operations.get_result,
        success=(200, 202),
        permission="",
    )
    return [
        ResourceType(
            namespace="Microsoft.Resources",
            path="subscriptions/resourceGroups",
            scope=Scope.SUBSCRIPTION,
            api_versions=versions.RESOURCES,
            verbs=verbs,
            name_parameter="resourceGroupName",
            root=True,
            schemas=schemas.GROUPS,
        ),
        ResourceType(
            namespace="Microsoft.Resources",
            path="subscriptions/operationresults",
            scope=Scope.SUBSCRIPTION,
            api_versions=versions.OWN,
            verbs=(polling,),
            name_parameter="operationId",
            root=True,
        ),
    ]
