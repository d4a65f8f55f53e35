"""The OpenAPI 3.0 document of everything in the table.

A schema's name is ARM's (``Machine``); two providers with a schema of one name must mean the same by it.
Where a type lives at any scope, the document shows it in a resource group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from arcbed_cloud.arm.table import On, ResourceType, Scope, Verb, parameter

Document = dict[str, Any]

_GUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
_GROUP = r"^[-\w\._\(\)]{1,89}[-\w_\(\)]$"
# What the front door itself may answer to any call, and when.
_REFUSALS = {
    "400": "The request is malformed, or its api-version is not supported",
    "401": "There is no valid access token",
    "403": "The caller's roles do not allow it",
    "404": "Subscription, resource group, parent or item does not exist",
    "405": "The method does not exist there",
    "409": "The state of a resource, group or registration does not allow it",
    "413": "The body is too large",
    "415": "The body is not JSON",
    "429": "Too many requests; Retry-After says when to come again",
    "500": "An internal error",
}
_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "target": {"type": "string"},
                "details": {"type": "array", "items": {"type": "object"}},
            },
        }
    },
}
_QUERIES = {
    "$top": {"type": "integer", "minimum": 1},
    "$filter": {"type": "string"},
    "$expand": {"type": "string"},
    "$select": {"type": "string"},
}


def document(types: Mapping[str, ResourceType]) -> Document:
    """The document.

    Args:
        types: rows by lower-case type.
    """
    paths: dict[str, Document] = {}
    schemas: dict[str, Any] = {"ErrorResponse": _ERROR}
    taken: set[str] = set()
    for row in types.values():
        schemas.update(row.schemas)
        for verb in row.verbs:
            path = template(types, row, verb)
            operation = _operation(types, row, verb, path)
            operation["operationId"] = _unique(operation["operationId"], row, taken)
            paths.setdefault(path, {})[verb.method.lower()] = operation
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Azure Resource Manager, as arcbed answers it",
            "version": "1",
            "description": "Generated from the table of resource types.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas,
            "securitySchemes": {"entra": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"entra": []}],
    }


def template(types: Mapping[str, ResourceType], row: ResourceType, verb: Verb) -> str:
    """The path template of one operation."""
    kinds = row.path.split("/")
    named = len(kinds) if verb.on in {On.ITEM, On.TENANT_ITEM, On.ACTION} else len(kinds) - 1
    parts: list[str] = []
    if row.root:
        parts += _named(types, row, kinds, named)
    else:
        parts += _scope(types, row, verb)
        parts += ["providers", row.namespace]
        if verb.on is not On.SUBSCRIPTION_ACTION:
            parts += _named(types, row, kinds, named)
    if verb.action is not None:
        parts.append(verb.action)
    return "/" + "/".join(parts)


def _scope(types: Mapping[str, ResourceType], row: ResourceType, verb: Verb) -> list[str]:
    subscription = ["subscriptions", "{subscriptionId}"]
    group = [*subscription, "resourceGroups", "{resourceGroupName}"]
    if verb.on in {On.TENANT_LIST, On.TENANT_ITEM} or row.scope is Scope.TENANT:
        return []
    if verb.on in {On.SUBSCRIPTION_LIST, On.SUBSCRIPTION_ACTION} or not {
        Scope.SUBSCRIPTION,
        Scope.SUBSCRIPTION_AND_TENANT,
    }.isdisjoint({row.scope, row.shown}):
        return subscription
    if row.parents and verb.on in {On.ITEM, On.ACTION, On.EXTENSION_LIST}:
        namespace, *kinds = row.parents[0].split("/")
        path = (part for index in range(len(kinds)) for part in _item(types, namespace, kinds[: index + 1]))
        return [*group, "providers", namespace, *path]
    return group


def _named(
    types: Mapping[str, ResourceType], row: ResourceType, kinds: list[str], named: int
) -> Iterator[str]:
    for index in range(len(kinds)):
        kind, name = _item(types, row.namespace, kinds[: index + 1])
        yield kind
        if index < named:
            yield name


def _item(types: Mapping[str, ResourceType], namespace: str, kinds: list[str]) -> tuple[str, str]:
    return kinds[-1], "{" + parameter(types, namespace, kinds) + "}"


def _operation(types: Mapping[str, ResourceType], row: ResourceType, verb: Verb, path: str) -> Document:
    operation: Document = {
        "operationId": verb.operation_id,
        "tags": [row.namespace],
        "parameters": [*_path_parameters(types, row, path), _version(row, verb), *_queries(verb)],
        "responses": _responses(verb),
    }
    if verb.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(verb.body)}
    return operation


def _unique(operation_id: str, row: ResourceType, taken: set[str]) -> str:
    """Several namespaces have an ``Operations_List``."""
    name = operation_id
    if name in taken:
        name = f"{row.namespace.replace('.', '')}_{operation_id}"
    count = 2
    while name in taken:
        name = f"{row.namespace.replace('.', '')}_{operation_id}{count}"
        count += 1
    taken.add(name)
    return name


def _path_parameters(types: Mapping[str, ResourceType], row: ResourceType, path: str) -> Iterator[Document]:
    patterns = {"subscriptionId": _GUID, "resourceGroupName": _GROUP}
    kinds = row.path.split("/")
    chain = [f"{row.namespace}/{'/'.join(kinds[: index + 1])}" for index in range(len(kinds))]
    for kind in (*row.parents[:1], *chain):
        known = types.get(kind.lower())
        if known is not None and known.name_pattern is not None:
            patterns[known.name_parameter] = f"^(?:{known.name_pattern})$"
    for part in path.split("/"):
        if part.startswith("{"):
            name = part.strip("{}")
            schema: Document = {"type": "string", "minLength": 1}
            if name in patterns:
                schema["pattern"] = patterns[name]
            yield {"name": name, "in": "path", "required": True, "schema": schema}


def _version(row: ResourceType, verb: Verb) -> Document:
    known = [
        version
        for version in row.api_versions
        if (verb.since or "") <= version and (verb.until is None or version <= verb.until)
    ]
    schema = {"type": "string", "enum": known}
    return {"name": "api-version", "in": "query", "required": True, "schema": schema}


def _queries(verb: Verb) -> Iterator[Document]:
    for name in verb.parameters:
        schema = _QUERIES.get(name, {"type": "string"})
        yield {"name": name, "in": "query", "required": False, "schema": schema}


def _responses(verb: Verb) -> Document:
    responses: Document = {}
    for code in verb.success:
        response: Document = {"description": "Success" if code < 300 else "The other answer"}
        if verb.answer is not None and code in {200, 201} and verb.method != "HEAD":
            response["content"] = _json(verb.answer)
        responses[str(code)] = response
    for status, text in _REFUSALS.items():
        content = {} if verb.method == "HEAD" else {"content": _json("ErrorResponse")}
        responses.setdefault(status, {"description": text, **content})
    return responses


def _json(name: str) -> Document:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
