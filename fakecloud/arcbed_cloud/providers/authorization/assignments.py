"""Role assignments at any scope (RoleAssignments_*).

Rows of the table ``grants``: key is the assignment's id in lower case, scope the scope's id in lower case
(``/`` for the tenant).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from arcbed_cloud.arm import filters, times
from arcbed_cloud.arm.access import ASSIGNMENTS, within
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.errors import ArmError, invalid_content
from arcbed_cloud.arm.paging import page
from arcbed_cloud.arm.request import ArmRequest, ArmResponse
from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.authorization import schemas
from arcbed_cloud.providers.authorization.roles import BY_NAME, RoleDefinitions, does_not_exist
from arcbed_cloud.store.contract import Document, Row, Unit

TYPE = "Microsoft.Authorization/roleAssignments"
API_VERSIONS = [
    "2022-04-01",
    "2020-10-01-preview",
    "2020-08-01-preview",
    "2020-04-01-preview",
    "2020-03-01-preview",
    "2018-09-01-preview",
    "2018-01-01-preview",
    "2017-10-01-preview",
    "2015-07-01",
]
_TYPES = ("User", "Group", "ServicePrincipal", "ForeignGroup", "Device")
_FIELDS = {"principalid": "eq", "roledefinitionid": "eq"}
_CALLS = {"atscope", "atexactscope", "assignedto"}


def grant(
    unit: Unit,
    plane: Plane,
    *,
    scope: str,
    role: str,
    principal_id: str,
    principal_type: str = "ServicePrincipal",
) -> Document:
    """Assign a built-in role by name (``Owner``); for seeding, without the checks of a call.

    Raises:
        KeyError: there is no such built-in role.
    """
    name = plane.ids.guid()
    properties = _properties(
        scope,
        role_definition_id=f"{_subscription(scope)}/providers/Microsoft.Authorization/roleDefinitions/"
        f"{BY_NAME[role.lower()]}",
        principal_id=principal_id,
        principal_type=principal_type,
        now=times.iso7(plane.clock.now()),
        caller="",
    )
    return _write(unit, scope, name, properties)


def _properties(
    scope: str,
    *,
    role_definition_id: str,
    principal_id: str,
    principal_type: str,
    now: str,
    caller: str,
) -> Document:
    return {
        "roleDefinitionId": role_definition_id,
        "principalId": principal_id,
        "principalType": principal_type,
        "scope": scope or "/",
        "condition": None,
        "conditionVersion": None,
        "createdOn": now,
        "updatedOn": now,
        "createdBy": caller,
        "updatedBy": caller,
        "delegatedManagedIdentityResourceId": None,
        "description": None,
    }


def _write(unit: Unit, scope: str, name: str, properties: Document) -> Document:
    prefix = "" if scope == "/" else scope
    document: Document = {
        "properties": properties,
        "id": f"{prefix}/providers/{TYPE}/{name}",
        "type": TYPE,
        "name": name,
    }
    unit.put("grants", document["id"].lower(), document, kind=ASSIGNMENTS, scope=(scope or "/").lower())
    return document


def _subscription(scope: str) -> str:
    parts = scope.split("/")
    return "/".join(parts[:3]) if len(parts) > 2 and parts[1].lower() == "subscriptions" else ""


class RoleAssignments:
    """The handlers."""

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._store = context.plane.store
        self._roles = RoleDefinitions(context)

    async def put(self, request: ArmRequest) -> ArmResponse:
        """201 on create and on update; the create answer shows ``createdBy`` null, as Azure's does."""
        name = _guid(request.target.name, "role assignment ID")
        given = _given(request.json())
        role = _role(given, self._roles)
        principal_id = _guid(given["principalId"], "principal ID")
        scope = request.target.scope or "/"
        async with self._store.unit() as unit:
            before = self._row(request)
            principal_type = self._principal_type(principal_id, given.get("principalType"))
            properties = _properties(
                scope,
                role_definition_id=f"{_subscription(scope)}/providers/Microsoft.Authorization/roleDefinitions/{role}",
                principal_id=principal_id,
                principal_type=principal_type,
                now=times.iso7(self._context.plane.clock.now()),
                caller=request.caller.object_id,
            )
            properties.update(
                {key: given.get(key) for key in ("condition", "conditionVersion", "description")}
            )
            if before is not None:
                _check_update(before.document["properties"], properties)
            self._check_unique(request, properties)
            document = _write(unit, scope, name, properties)
        if before is None:
            document = {**document, "properties": {**properties, "createdBy": None}}
        return ArmResponse(201, document)

    async def get(self, request: ArmRequest) -> ArmResponse:
        """One assignment."""
        row = self._row(request)
        if row is None:
            raise ArmError(
                404, "RoleAssignmentNotFound", f"The role assignment '{request.target.name}' is not found."
            )
        return ArmResponse(body=row.body)

    async def delete(self, request: ArmRequest) -> ArmResponse:
        """200 with what was deleted, 204 if there was nothing."""
        async with self._store.unit() as unit:
            row = self._row(request)
            if row is None:
                return ArmResponse(204)
            unit.delete("grants", row.key)
        return ArmResponse(body=row.body)

    async def list_all(self, request: ArmRequest) -> ArmResponse:
        """Assignments at, above and below the scope; ``atScope()`` leaves out those below."""
        text = request.query.get("$filter", "")
        expression = filters.parse(text)
        filters.restrict(text, expression, _FIELDS, _CALLS)
        scope = (request.target.scope or "/").lower()
        rows = [
            row
            for row in self._store.rows("grants", kind=ASSIGNMENTS)
            if (within(scope, row.scope) or within(row.scope, scope))
            and filters.holds(expression, lambda leaf, found=row: _matches(found, leaf, scope))  # type: ignore[misc]
        ]
        return page(request, rows, _body)

    def _row(self, request: ArmRequest) -> Row | None:
        return self._store.get("grants", request.target.key)

    def _principal_type(self, principal_id: str, wanted: Any) -> str:
        """What the directory says; naming the type skips the check that the principal is there."""
        if wanted is not None and wanted not in _TYPES:
            raise invalid_content(f"'properties.principalType' must be one of {', '.join(_TYPES)}")
        principal = self._context.directory.principal(principal_id)
        if principal is None:
            if wanted is not None:
                return str(wanted)
            raise ArmError(
                400,
                "PrincipalNotFound",
                f"Principal {principal_id.replace('-', '')} does not exist in the directory "
                f"{self._context.directory.tenant_id}. Check that you have the correct principal ID. If you "
                "are "
                "creating this principal and then immediately assigning a role, this error might be "
                "related to a "
                "replication delay. In this case, set the role assignment principalType property to a "
                "value, such "
                "as ServicePrincipal, User, or Group.  See https://aka.ms/docs-principaltype",
            )
        if wanted is not None and wanted != principal.kind:
            raise ArmError(
                400,
                "UnmatchedPrincipalType",
                f"The PrincipalId '{principal_id.replace('-', '')}' has type '{principal.kind}' , which is "
                "different "
                f"from specified PrinciaplType '{wanted}'.",
            )
        return principal.kind

    def _check_unique(self, request: ArmRequest, properties: Document) -> None:
        scope = properties["scope"].lower()
        for row in self._store.rows("grants", kind=ASSIGNMENTS, scope=scope):
            other = row.document["properties"]
            same = all(
                other[name].lower() == properties[name].lower()
                for name in ("principalId", "roleDefinitionId")
            )
            if same and row.key != request.target.key:
                name = row.document["name"].replace("-", "")
                raise ArmError(
                    409,
                    "RoleAssignmentExists",
                    f"The role assignment already exists. The ID of the existing role assignment is {name}.",
                )


def _body(row: Row) -> bytes:
    return row.body


def _matches(row: Row, leaf: filters.Comparison | filters.Call, scope: str) -> bool:
    properties = row.document["properties"]
    if isinstance(leaf, filters.Comparison):
        field = "principalId" if leaf.field == "principalid" else "roleDefinitionId"
        return filters.compare("eq", properties[field], leaf.value)
    match leaf.name:
        case "atscope":
            return within(scope, row.scope)
        case "atexactscope":
            return row.scope == scope
    return bool(leaf.arguments) and properties["principalId"].lower() == leaf.arguments[0].lower()


def _given(body: Document) -> Document:
    given = body.get("properties")
    if not isinstance(given, dict):
        raise invalid_content("'properties' is required")
    for name in ("roleDefinitionId", "principalId"):
        if not isinstance(given.get(name), str) or not given[name]:
            raise invalid_content(f"'properties.{name}' must be a string")
    for name in ("condition", "conditionVersion", "description"):
        if not isinstance(given.get(name, ""), str | None):
            raise invalid_content(f"'properties.{name}' must be a string")
    return given


def _role(given: Document, roles: RoleDefinitions) -> str:
    name: str = given["roleDefinitionId"].rstrip("/").rsplit("/", 1)[-1]
    if roles.find(name) is None:
        raise does_not_exist(name)
    return name.lower()


def _check_update(before: Document, after: Document) -> None:
    """An update may change description and condition only."""
    if any(before[name].lower() != after[name].lower() for name in ("principalId", "roleDefinitionId")):
        raise ArmError(
            400,
            "RoleAssignmentUpdateNotPermitted",
            "Tenant ID, application ID, principal ID, and scope are not allowed to be updated.",
        )
    after.update({name: before[name] for name in ("createdOn", "createdBy", "principalType")})


def _guid(text: str, what: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ArmError(
            400,
            "InvalidPrincipalId" if what.startswith("principal") else "InvalidRoleAssignmentId",
            f"The {what} '{text}' is not valid. The {what} must be a GUID.",
        ) from None


def resource_types(context: ProviderContext) -> list[ResourceType]:
    """Rows of the table."""
    handlers = RoleAssignments(context)

    def verb(operation_id: str, method: str, handler: Any, success: tuple[int, ...], **more: Any) -> Verb:
        more = {"on": On.ITEM, "answer": "RoleAssignment", **more}
        return Verb(operation_id=operation_id, method=method, handler=handler, success=success, **more)

    listed: dict[str, Any] = {
        "on": On.GROUP_LIST,
        "answer": "RoleAssignmentListResult",
        "parameters": ("$filter", "$top"),
    }
    body = {"body": "RoleAssignmentCreateParameters"}
    return [
        ResourceType(
            namespace="Microsoft.Authorization",
            path="roleAssignments",
            scope=Scope.ANY,
            api_versions=API_VERSIONS,
            name_parameter="roleAssignmentName",
            schemas=schemas.ASSIGNMENTS,
            verbs=(
                verb("RoleAssignments_ListForScope", "GET", handlers.list_all, (200,), **listed),
                verb("RoleAssignments_Get", "GET", handlers.get, (200,)),
                verb("RoleAssignments_Create", "PUT", handlers.put, (201,), **body),
                verb("RoleAssignments_Delete", "DELETE", handlers.delete, (200, 204)),
            ),
        )
    ]
