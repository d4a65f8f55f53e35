"""Component schemas of Microsoft.Authorization for the OpenAPI document."""

from __future__ import annotations

from typing import Any

_STRING = {"type": "string"}
_GUID = {"type": "string", "format": "uuid"}
_ACTIONS = {"type": "array", "items": _STRING}
_OPTIONAL = {"type": "string", "nullable": True}
_PRINCIPAL_TYPE = {
    "type": "string",
    "enum": ["User", "Group", "ServicePrincipal", "ForeignGroup", "Device"],
}

ASSIGNMENTS: dict[str, Any] = {
    "RoleAssignment": {
        "type": "object",
        "required": ["id", "name", "type", "properties"],
        "properties": {
            "id": _STRING,
            "name": _STRING,
            "type": _STRING,
            "properties": {"type": "object", "required": ["roleDefinitionId", "principalId", "scope"]},
        },
    },
    "RoleAssignmentListResult": {
        "type": "object",
        "required": ["value"],
        "properties": {
            "value": {"type": "array", "items": {"$ref": "#/components/schemas/RoleAssignment"}},
            "nextLink": _STRING,
        },
    },
    "RoleAssignmentCreateParameters": {
        "type": "object",
        "required": ["properties"],
        "properties": {
            "properties": {
                "type": "object",
                "required": ["roleDefinitionId", "principalId"],
                "properties": {
                    "roleDefinitionId": _STRING,
                    "principalId": _GUID,
                    "principalType": _PRINCIPAL_TYPE,
                    "description": _OPTIONAL,
                    "condition": _OPTIONAL,
                    "conditionVersion": _OPTIONAL,
                },
            }
        },
    },
}

DEFINITIONS: dict[str, Any] = {
    "RoleDefinition": {
        "type": "object",
        "properties": {
            "id": {"type": "string", "readOnly": True},
            "name": {"type": "string", "readOnly": True},
            "type": {"type": "string", "readOnly": True},
            "properties": {
                "type": "object",
                "required": ["roleName", "permissions", "assignableScopes"],
                "properties": {
                    "roleName": {"type": "string", "minLength": 1, "maxLength": 512},
                    "description": _OPTIONAL,
                    "type": _STRING,
                    "assignableScopes": {"type": "array", "items": _STRING, "minItems": 1},
                    "permissions": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "actions": _ACTIONS,
                                "notActions": _ACTIONS,
                                "dataActions": _ACTIONS,
                                "notDataActions": _ACTIONS,
                            },
                        },
                    },
                },
            },
        },
    },
    "RoleDefinitionListResult": {
        "type": "object",
        "required": ["value"],
        "properties": {
            "value": {"type": "array", "items": {"$ref": "#/components/schemas/RoleDefinition"}},
            "nextLink": _STRING,
        },
    },
}
