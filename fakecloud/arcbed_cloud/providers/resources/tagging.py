"""Tags at a scope: ``{scope}/providers/Microsoft.Resources/tags/default`` (Tags_*AtScope)."""

from __future__ import annotations

from typing import Any

from arcbed_cloud.arm import validation, versions
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError, group_not_found, invalid_content, resource_not_found
from arcbed_cloud.arm.ids import parse
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb
from arcbed_cloud.providers.resources import schemas
from arcbed_cloud.store.contract import Row

API_VERSIONS = [version for version in versions.RESOURCES if version >= "2019-10-01"]


class Tagging:
    """The handlers. The tags are those of the subscription, group or resource itself."""

    def __init__(self, context: ProviderContext) -> None:
        self._store = context.plane.store

    async def get(self, request: ArmRequest) -> ArmResponse:
        """The tags of the scope."""
        return _answer(self._found(request))

    async def put(self, request: ArmRequest) -> ArmResponse:
        """Replace all tags."""
        tags = validation.tags(_tags_of(request.json()))
        return await self._write(request, "replace", tags)

    async def patch(self, request: ArmRequest) -> ArmResponse:
        """Replace, Merge or Delete; Delete takes away the tags whose name and value both match."""
        body = request.json()
        operation = body.get("operation")
        if not isinstance(operation, str) or operation.lower() not in {"replace", "merge", "delete"}:
            raise invalid_content("'operation' must be one of Replace, Merge, Delete")
        return await self._write(request, operation.lower(), validation.tags(_tags_of(body)))

    async def delete(self, request: ArmRequest) -> ArmResponse:
        """Take all tags away."""
        await self._write(request, "replace", {})
        return ArmResponse(200)

    async def _write(self, request: ArmRequest, operation: str, tags: dict[str, str]) -> ArmResponse:
        async with self._store.unit() as unit:
            row = self._found(request)
            before: dict[str, str] = row.document.get("tags") or {}
            after = validation.tags(_combined(operation, before, tags))
            unit.put("resources", row.key, {**row.document, "tags": after}, kind=row.kind, scope=row.scope)
        return _answer(self._found(request))

    def _found(self, request: ArmRequest) -> Row:
        if request.target.name.lower() != "default":
            raise ArmError(404, "TagsNotFound", f"The tags '{request.target.name}' could not be found.")
        scope = parse(request.target.scope)
        row = self._store.get("resources", scope.key)
        if row is not None:
            return row
        if scope.namespace is None:
            raise group_not_found(scope.group or "")
        raise resource_not_found(scope)


def _tags_of(body: dict[str, Any]) -> Any:
    properties = body.get("properties")
    if not isinstance(properties, dict) or "tags" not in properties:
        raise invalid_content("'properties.tags' is required")
    return properties["tags"]


def _combined(operation: str, before: dict[str, str], tags: dict[str, str]) -> dict[str, str]:
    if operation == "replace":
        return tags
    given = {name.lower(): value for name, value in tags.items()}
    if operation == "merge":
        kept = {name: value for name, value in before.items() if name.lower() not in given}
        return {**kept, **tags}
    return {name: value for name, value in before.items() if given.get(name.lower()) != value}


def _answer(row: Row) -> ArmResponse:
    scope = row.document["id"]
    return ArmResponse(
        document={
            "id": f"{scope}/providers/Microsoft.Resources/tags/default",
            "name": "default",
            "type": "Microsoft.Resources/tags",
            "properties": {"tags": row.document.get("tags") or {}},
        }
    )


def resource_types(context: ProviderContext) -> list[ResourceType]:
    """Rows of the table."""
    handlers = Tagging(context)

    def verb(operation_id: str, method: str, handler: Any, body: str | None = None, **more: Any) -> Verb:
        return Verb(
            operation_id=operation_id,
            method=method,
            on=On.ITEM,
            handler=handler,
            success=(200,),
            body=body,
            **more,
        )

    answer = {"answer": "TagsResource"}
    return [
        ResourceType(
            namespace="Microsoft.Resources",
            path="tags",
            scope=Scope.ANY,
            api_versions=API_VERSIONS,
            name_parameter="tagsName",
            name_pattern="default",
            schemas=schemas.TAGGING,
            verbs=(
                verb("Tags_GetAtScope", "GET", handlers.get, **answer),
                verb("Tags_CreateOrUpdateAtScope", "PUT", handlers.put, "TagsResource", **answer),
                verb("Tags_UpdateAtScope", "PATCH", handlers.patch, "TagsPatchResource", **answer),
                verb("Tags_DeleteAtScope", "DELETE", handlers.delete),
            ),
        )
    ]
