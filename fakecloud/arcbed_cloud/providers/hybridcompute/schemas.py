"""Component schemas of machines, drawn from the same templates that bodies are read by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcbed_cloud.providers.hybridcompute import members

KINDS = ("AVS", "HCI", "SCVMM", "VMware", "EPS", "GCP", "AWS")
STRING = {"type": "string"}
_KINDS_OF_VALUE: dict[str, Any] = {
    members.TEXT: STRING,
    members.FLAG: {"type": "boolean"},
    members.ARRAY: {"type": "array", "items": {"type": "object"}},
    members.ANY: {"type": "object"},
}
_TAGS = {"type": "object", "additionalProperties": {"type": "string", "maxLength": 256}, "maxProperties": 50}
_IDENTITY = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["None", "SystemAssigned"]},
        "principalId": {"type": "string", "format": "uuid", "readOnly": True},
        "tenantId": {"type": "string", "format": "uuid", "readOnly": True},
    },
}
_READ_ONLY: dict[str, Any] = {
    "provisioningState": STRING,
    "status": STRING,
    "statusReason": STRING,
    "lastStatusChange": {"type": "string", "format": "date-time"},
    "errorDetails": {"type": "array", "items": {"type": "object"}},
    "agentVersion": STRING,
}


def _object(template: members.Template) -> dict[str, Any]:
    properties = {
        name: _object(kind) if isinstance(kind, Mapping) else _KINDS_OF_VALUE[kind]
        for name, kind in template.items()
    }
    found: dict[str, Any] = {"type": "object", "properties": properties}
    if properties.get("name") == STRING and "city" in properties:
        found["required"] = ["name"]
    return found


def _machine_properties() -> dict[str, Any]:
    found = _object(members.WRITABLE)
    reported = _object({**members.REPORTED, "agentConfiguration": members.AGENT_CONFIGURATION})["properties"]
    read_only = {**_READ_ONLY, **reported}
    for name, schema in read_only.items():
        found["properties"].setdefault(name, {**schema, "readOnly": True})
    found["properties"]["vmId"] = {"type": "string", "format": "uuid"}
    found["properties"]["clientPublicKey"] = STRING
    return found


SCHEMAS: dict[str, Any] = {
    "Machine": {
        "type": "object",
        "required": ["location"],
        "properties": {
            **{name: {**STRING, "readOnly": True} for name in ("id", "name", "type")},
            "location": STRING,
            "tags": _TAGS,
            "kind": {"type": "string", "enum": list(KINDS)},
            "identity": _IDENTITY,
            "properties": _machine_properties(),
            "systemData": {"type": "object", "readOnly": True},
            "resources": {"type": "array", "items": {"type": "object"}, "readOnly": True},
        },
    },
    "MachineUpdate": {
        "type": "object",
        "properties": {
            "tags": _TAGS,
            "kind": {"type": "string", "enum": list(KINDS)},
            "identity": _IDENTITY,
            "properties": _object(members.PATCHABLE),
        },
    },
    "MachineListResult": {
        "type": "object",
        "required": ["value"],
        "properties": {
            "value": {"type": "array", "items": {"$ref": "#/components/schemas/Machine"}},
            "nextLink": STRING,
        },
    },
}
