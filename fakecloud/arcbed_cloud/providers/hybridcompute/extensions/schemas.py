"""Component schemas of extensions and of their metadata (swagger: HybridCompute.json)."""

from __future__ import annotations

from typing import Any

STRING = {"type": "string"}
FLAG = {"type": "boolean"}
OBJECT = {"type": "object"}
_TAGS = {"type": "object", "additionalProperties": {"type": "string", "maxLength": 256}, "maxProperties": 50}
_STATUS = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("code", "level", "displayStatus", "message"), STRING),
        "time": {"type": "string", "format": "date-time"},
    },
}
_INSTANCE_VIEW = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "type", "typeHandlerVersion"), STRING),
        "status": _STATUS,
    },
}
_VERSION = {"type": "string", "pattern": r"^\d{1,9}(\.\d{1,9}){0,3}$"}
_WRITABLE: dict[str, Any] = {
    **dict.fromkeys(("publisher", "type", "forceUpdateTag"), STRING),
    "typeHandlerVersion": _VERSION,
    **dict.fromkeys(("autoUpgradeMinorVersion", "enableAutomaticUpgrade"), FLAG),
    **dict.fromkeys(("settings", "protectedSettings"), OBJECT),
}
_PROPERTIES = {
    "type": "object",
    "properties": {
        **_WRITABLE,
        "provisioningState": {**STRING, "readOnly": True},
        "instanceView": {**_INSTANCE_VIEW, "readOnly": True},
    },
}


def tracked(properties: dict[str, Any]) -> dict[str, Any]:
    """A tracked resource with these ``properties``."""
    return {
        "type": "object",
        "required": ["location"],
        "properties": {
            **{name: {**STRING, "readOnly": True} for name in ("id", "name", "type")},
            "location": STRING,
            "tags": _TAGS,
            "properties": properties,
        },
    }


def listed(name: str) -> dict[str, Any]:
    """A page of `name`."""
    return {
        "type": "object",
        "required": ["value"],
        "properties": {
            "value": {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}},
            "nextLink": STRING,
        },
    }


_PARAMETERS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "value"],
        "properties": {"name": STRING, "value": STRING},
    },
}
_RUN: dict[str, Any] = {
    "source": {
        "type": "object",
        "properties": dict.fromkeys(("script", "scriptUri", "commandId"), STRING),
    },
    **dict.fromkeys(("parameters", "protectedParameters"), _PARAMETERS),
    "asyncExecution": FLAG,
    "timeoutInSeconds": {"type": "integer", "minimum": 0, "maximum": 7_776_000},
    **dict.fromkeys(("runAsUser", "runAsPassword", "outputBlobUri", "errorBlobUri"), STRING),
    "provisioningState": {**STRING, "readOnly": True},
    "instanceView": {"type": "object", "readOnly": True},
}
RUN_COMMANDS: dict[str, Any] = {
    "MachineRunCommand": tracked({"type": "object", "required": ["source"], "properties": _RUN}),
    "MachineRunCommandUpdate": {"type": "object", "properties": {"tags": _TAGS}},
    "MachineRunCommandsListResult": listed("MachineRunCommand"),
}

_PART = {"type": "object", "properties": _PROPERTIES["properties"]}
SCHEMAS: dict[str, Any] = {
    "MachineExtension": tracked(_PROPERTIES),
    "MachineExtensionUpdate": {
        "type": "object",
        "properties": {"tags": _TAGS, "properties": {"type": "object", "properties": _WRITABLE}},
    },
    "MachineExtensionsListResult": listed("MachineExtension"),
    "MachineExtensionUpgrade": {
        "type": "object",
        "required": ["extensionTargets"],
        "properties": {
            "extensionTargets": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"type": "object", "properties": {"targetVersion": _VERSION}},
            }
        },
    },
    "SetupExtensionRequest": {
        "type": "object",
        "required": ["extensions"],
        "properties": {"extensions": {"type": "array", "minItems": 1, "items": _PART}},
    },
}


def _value(more: dict[str, Any]) -> dict[str, Any]:
    names = ("version", "extensionType", "publisher")
    return {
        "type": "object",
        "properties": {
            "id": STRING,
            "properties": {"type": "object", "properties": {**dict.fromkeys(names, STRING), **more}},
        },
    }


_NAMED = {"type": "object", "properties": {"id": STRING, "name": STRING}}
_LISTS = {"type": "array", "items": STRING}
METADATA: dict[str, Any] = {
    "ExtensionValue": _value({}),
    "ExtensionValueV2": _value(
        {
            "extensionUris": _LISTS,
            "extensionSignatureUri": STRING,
            "operatingSystem": STRING,
            "architecture": _LISTS,
        }
    ),
    "ExtensionPublisher": _NAMED,
    "ExtensionType": _NAMED,
    **{
        f"{name}ListResult": listed(name)
        for name in ("ExtensionValue", "ExtensionValueV2", "ExtensionPublisher", "ExtensionType")
    },
}
