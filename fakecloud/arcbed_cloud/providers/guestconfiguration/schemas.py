"""Component schemas of guest assignments and reports, in the shapes of the GuestConfiguration swagger."""

from __future__ import annotations

from typing import Any

from arcbed_cloud.providers.guestconfiguration.bodies import MODES

_TEXT: dict[str, Any] = {"type": "string", "nullable": True}
_READ_ONLY_TEXT: dict[str, Any] = {**_TEXT, "readOnly": True}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time", "nullable": True, "readOnly": True}
_STATUS: dict[str, Any] = {
    "type": "string",
    "enum": ["Compliant", "NonCompliant", "Pending"],
    "readOnly": True,
}
_PARAMETERS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "value"],
        "properties": {"name": {"type": "string", "minLength": 1}, "value": {"type": "string"}},
    },
}
# Answers show the names of protected parameters only.
_PROTECTED = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"type": "string", "minLength": 1}, "value": _TEXT},
    },
}
_SETTING = {
    "type": "object",
    "nullable": True,
    "readOnly": True,
    "properties": {
        "configurationMode": {"type": "string"},
        "allowModuleOverwrite": {"type": "boolean"},
        "actionAfterReboot": {"type": "string"},
        "refreshFrequencyMins": {"type": "number"},
        "rebootIfNeeded": {"type": "boolean"},
        "configurationModeFrequencyMins": {"type": "number"},
    },
}
_CONFIGURATION = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "kind": {"type": "string", "enum": ["DSC", None], "nullable": True},
        "name": {"type": "string", "minLength": 1},
        "version": _TEXT,
        "contentUri": _TEXT,
        "contentHash": _TEXT,
        "contentManagedIdentity": _TEXT,
        "contentType": _READ_ONLY_TEXT,
        "assignmentType": {"type": "string", "enum": [*MODES, None], "nullable": True},
        "assignmentSource": _READ_ONLY_TEXT,
        "configurationParameter": _PARAMETERS,
        "configurationProtectedParameter": _PROTECTED,
        "configurationSetting": _SETTING,
    },
}
_ASSIGNMENT_PROPERTIES = {
    "type": "object",
    "required": ["guestConfiguration"],
    "properties": {
        "targetResourceId": _READ_ONLY_TEXT,
        "guestConfiguration": _CONFIGURATION,
        "complianceStatus": _STATUS,
        "lastComplianceStatusChecked": _TIME,
        "latestReportId": _READ_ONLY_TEXT,
        "parameterHash": _READ_ONLY_TEXT,
        "context": _TEXT,
        "assignmentHash": _READ_ONLY_TEXT,
        "provisioningState": _READ_ONLY_TEXT,
        "resourceType": _READ_ONLY_TEXT,
        "vmssVMList": {"type": "array", "nullable": True, "readOnly": True, "items": {"type": "object"}},
    },
}
_DETAILS = {
    "type": "object",
    "nullable": True,
    "properties": {
        "complianceStatus": _STATUS,
        "startTime": _TIME,
        "endTime": _TIME,
        "jobId": _READ_ONLY_TEXT,
        "operationType": {"type": "string", "enum": ["Consistency", "Initial"]},
        "resources": {"type": "array", "items": {"type": "object"}},
    },
}
_REPORT_PROPERTIES = {
    "type": "object",
    "properties": {
        "complianceStatus": _STATUS,
        "reportId": _READ_ONLY_TEXT,
        "assignment": {"type": "object"},
        "vm": {"type": "object"},
        "startTime": _TIME,
        "endTime": _TIME,
        "details": _DETAILS,
    },
}


def _list(name: str) -> dict[str, Any]:
    items = {"$ref": f"#/components/schemas/{name}"}
    return {
        "type": "object",
        "required": ["value"],
        "properties": {"value": {"type": "array", "items": items}, "nextLink": {"type": "string"}},
    }


def _item(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = {name: {"type": "string", "readOnly": True} for name in ("id", "name", "type")}
    return {"type": "object", "properties": {**named, "properties": properties}, **more}


SCHEMAS: dict[str, Any] = {
    "GuestConfigurationAssignment": {
        "type": "object",
        "required": ["properties"],
        "properties": {
            "id": {"type": "string", "readOnly": True},
            "name": {"type": "string"},
            "type": {"type": "string", "readOnly": True},
            "location": _TEXT,
            "properties": _ASSIGNMENT_PROPERTIES,
        },
    },
    "GuestConfigurationAssignmentList": _list("GuestConfigurationAssignment"),
    "GuestConfigurationAssignmentReport": _item(_REPORT_PROPERTIES),
    "GuestConfigurationAssignmentReportList": _list("GuestConfigurationAssignmentReport"),
}
