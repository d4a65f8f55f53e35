"""Role definitions: the built-in ones that matter for Azure Arc, and custom ones (RoleDefinitions_*).

Built-in definitions are Microsoft's published data. Custom ones are rows of the table ``grants`` keyed
``/providers/microsoft.authorization/roledefinitions/{guid}``.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any
from uuid import UUID

import orjson

from arcbed_cloud.arm import filters, times
from arcbed_cloud.arm.access import DEFINITIONS, within
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError, invalid_content
from arcbed_cloud.arm.paging import page_of
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb
from arcbed_cloud.providers.authorization import schemas
from arcbed_cloud.store.contract import Document

TYPE = "Microsoft.Authorization/roleDefinitions"
API_VERSIONS = ["2022-05-01-preview", "2022-04-01", "2018-01-01-preview", "2015-07-01"]
PERMISSION_LISTS = ("actions", "notActions", "dataActions", "notDataActions")

_DATA: list[dict[str, Any]] = orjson.loads((files(__package__) / "roles.json").read_bytes())
BUILTIN: dict[str, dict[str, Any]] = {role["name"]: role for role in _DATA}
BY_NAME: dict[str, str] = {role["roleName"].lower(): role["name"] for role in _DATA}


def _builtin_properties(role: dict[str, Any]) -> Document:
    return {
        "roleName": role["roleName"],
        "type": "BuiltInRole",
        "description": role["description"],
        "assignableScopes": ["/"],
        "permissions": role["permissions"],
        "createdOn": None,
        "updatedOn": None,
        "createdBy": None,
        "updatedBy": None,
    }


def key_of(name: str) -> str:
    """Where a custom role's row stands."""
    return f"/providers/{DEFINITIONS}/{name.lower()}"


class RoleDefinitions:
    """The handlers."""

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._store = context.plane.store

    async def list_all(self, request: ArmRequest) -> ArmResponse:
        """Definitions assignable at the scope; takes ``roleName eq`` and ``type eq``."""
        self._check_read(request)
        text = request.query.get("$filter", "")
        expression = filters.parse(text)
        filters.restrict(text, expression, {"rolename": "eq", "type": "eq"}, {"atscopeandbelow", "atscope"})
        scope = request.target.scope
        shown = [
            self._document(name, properties, request.target.subscription)
            for name, properties in self._all(scope.lower())
            if filters.holds(expression, lambda leaf, found=properties: _matches(found, leaf))  # type: ignore[misc]
        ]
        shown.sort(key=lambda document: document["name"])
        return page_of(request, shown, orjson.dumps, key=lambda document: document["name"])

    async def get(self, request: ArmRequest) -> ArmResponse:
        """One definition."""
        self._check_read(request)
        return ArmResponse(document=self._found(request))

    async def put(self, request: ArmRequest) -> ArmResponse:
        """Create or replace a custom role; 201 both times."""
        name = _guid(request.target.name)
        if name in BUILTIN:
            raise _builtin_refusal(name)
        wanted = _wanted(request.json(), request)
        self._check_name(name, wanted["roleName"])
        now, caller = times.iso7(self._context.plane.clock.now()), request.caller.object_id
        async with self._store.unit() as unit:
            row = self._store.get("grants", key_of(name))
            before = row.document["properties"] if row else {"createdOn": now, "createdBy": caller}
            stamps = {"createdOn": before["createdOn"], "updatedOn": now}
            people = {"createdBy": before["createdBy"], "updatedBy": caller}
            properties = {**wanted, **stamps, **people}
            unit.put("grants", key_of(name), {"name": name, "properties": properties}, kind=DEFINITIONS)
        return ArmResponse(201, self._document(name, properties, request.target.subscription))

    async def delete(self, request: ArmRequest) -> ArmResponse:
        """200 with the definition that was deleted, 204 if there was none."""
        name = request.target.name.lower()
        if name in BUILTIN:
            raise _builtin_refusal(name)
        async with self._store.unit() as unit:
            row = self._store.get("grants", key_of(name))
            if row is None:
                return ArmResponse(204)
            if any(
                role_of(grant.document) == name
                for grant in self._store.rows("grants")
                if is_assignment(grant)
            ):
                raise ArmError(
                    400,
                    "RoleDefinitionHasAssignments",
                    "There are existing role assignments referencing role (code: "
                    "RoleDefinitionHasAssignments).",
                )
            unit.delete("grants", row.key)
        return ArmResponse(200, self._document(name, row.document["properties"], request.target.subscription))

    def _check_read(self, request: ArmRequest) -> None:
        """In the tenant everybody may read definitions; below it a role must allow it."""
        if request.target.subscription is not None:
            self._context.access.check(request.caller, f"{TYPE}/read", request.target.scope)

    def find(self, name: str) -> Document | None:
        """The properties of a definition by its GUID, in any case."""
        name = name.lower()
        if name in BUILTIN:
            return _builtin_properties(BUILTIN[name])
        row = self._store.get("grants", key_of(name))
        return row.document["properties"] if row else None

    def _all(self, scope: str) -> list[tuple[str, Document]]:
        found = [(name, _builtin_properties(role)) for name, role in BUILTIN.items()]
        for row in self._store.rows("grants", kind=DEFINITIONS):
            properties = row.document["properties"]
            where = [place.lower() for place in properties["assignableScopes"]]
            if any(within(scope, place) or within(place, scope) for place in where):
                found.append((row.document["name"], properties))
        return found

    def _found(self, request: ArmRequest) -> Document:
        name = request.target.name
        properties = self.find(name)
        if properties is None:
            raise does_not_exist(name)
        return self._document(name.lower(), properties, request.target.subscription)

    def _check_name(self, name: str, role_name: str) -> None:
        taken = BY_NAME.get(role_name.lower()) or next(
            (
                row.document["name"]
                for row in self._store.rows("grants", kind=DEFINITIONS)
                if row.document["properties"]["roleName"].lower() == role_name.lower()
            ),
            None,
        )
        if taken is not None and taken != name:
            raise ArmError(
                409,
                "RoleDefinitionWithSameNameExists",
                f"A custom role with the same name already exists in this directory: '{role_name}'. "
                "Use a different name.",
            )

    @staticmethod
    def _document(name: str, properties: Document, subscription: str | None) -> Document:
        prefix = f"/subscriptions/{subscription}" if subscription else ""
        return {
            "properties": properties,
            "id": f"{prefix}/providers/{TYPE}/{name}",
            "type": TYPE,
            "name": name,
        }


def is_assignment(row: Any) -> bool:
    """True for rows of role assignments."""
    return bool(row.kind != DEFINITIONS)


def role_of(assignment: Document) -> str:
    """The GUID of an assignment's role."""
    return str(assignment["properties"]["roleDefinitionId"]).rsplit("/", 1)[-1].lower()


def does_not_exist(name: str) -> ArmError:
    """404 for a role definition."""
    return ArmError(
        404, "RoleDefinitionDoesNotExist", f"The specified role definition with ID '{name}' does not exist."
    )


def _matches(properties: Document, leaf: filters.Comparison | filters.Call) -> bool:
    if isinstance(leaf, filters.Call):
        return True
    field = "roleName" if leaf.field == "rolename" else "type"
    return filters.compare("eq", properties[field], leaf.value)


def _guid(name: str) -> str:
    try:
        return str(UUID(name))
    except ValueError:
        raise ArmError(
            400,
            "InvalidRoleDefinitionId",
            f"The role definition ID '{name}' is not valid. It must be a GUID.",
        ) from None


def _builtin_refusal(name: str) -> ArmError:
    return ArmError(
        403, "RoleDefinitionIsBuiltIn", f"The role definition '{name}' is built in and cannot be changed."
    )


def _wanted(body: Document, request: ArmRequest) -> Document:
    given = body.get("properties")
    if not isinstance(given, dict):
        raise invalid_content("'properties' is required")
    role_name = given.get("roleName")
    if not isinstance(role_name, str) or not role_name.strip() or len(role_name) > 512:
        raise invalid_content("'properties.roleName' must be a text of 1 to 512 characters")
    if not isinstance(given.get("description", ""), str | None):
        raise invalid_content("'properties.description' must be a string")
    return {
        "roleName": role_name,
        "type": "CustomRole",
        "description": given.get("description"),
        "assignableScopes": _strings(given.get("assignableScopes") or [request.target.scope or "/"]),
        "permissions": _permissions(given.get("permissions")),
    }


def _permissions(value: Any) -> list[Document]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise invalid_content("'properties.permissions' must be a list of objects")
    return [{name: _strings(entry.get(name) or []) for name in PERMISSION_LISTS} for entry in value]


def _strings(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise invalid_content("a list of strings is expected")
    return value


def resource_types(context: ProviderContext) -> list[ResourceType]:
    """Rows of the table."""
    handlers = RoleDefinitions(context)
    role = "RoleDefinition"

    def verb(operation_id: str, method: str, handler: Any, success: tuple[int, ...], **more: Any) -> Verb:
        more = {"on": On.ITEM, "answer": role, **more}
        return Verb(operation_id=operation_id, method=method, handler=handler, success=success, **more)

    listed: dict[str, Any] = {
        "on": On.GROUP_LIST,
        "answer": "RoleDefinitionListResult",
        "parameters": ("$filter", "$top"),
        "permission": "",  # see _check_read
    }
    return [
        ResourceType(
            namespace="Microsoft.Authorization",
            path="roleDefinitions",
            scope=Scope.ANY,
            api_versions=API_VERSIONS,
            name_parameter="roleDefinitionId",
            schemas=schemas.DEFINITIONS,
            verbs=(
                verb("RoleDefinitions_List", "GET", handlers.list_all, (200,), **listed),
                verb("RoleDefinitions_Get", "GET", handlers.get, (200,), permission=""),
                verb("RoleDefinitions_CreateOrUpdate", "PUT", handlers.put, (201,), body=role),
                verb("RoleDefinitions_Delete", "DELETE", handlers.delete, (200, 204)),
            ),
        )
    ]
