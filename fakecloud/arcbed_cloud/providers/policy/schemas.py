"""Component schemas of policy for the OpenAPI document."""

from __future__ import annotations

from typing import Any

_STRING = {"type": "string"}
_OBJECT = {"type": "object"}
_OPTIONAL = {"type": "string", "nullable": True}


def _resource(name: str, *required: str) -> dict[str, Any]:
    return {
        name: {
            "type": "object",
            "required": ["id", "name", "type", "properties"],
            "properties": {
                "id": _STRING,
                "name": _STRING,
                "type": _STRING,
                "properties": {"type": "object", "required": list(required)},
            },
        },
        f"{name}ListResult": {
            "type": "object",
            "required": ["value"],
            "properties": {
                "value": {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}},
                "nextLink": _STRING,
            },
        },
    }


def _body(name: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    inner = {"type": "object", "required": required, "properties": properties}
    return {name: {"type": "object", "required": ["properties"], "properties": {"properties": inner}}}


DEFINITIONS = {
    **_resource("PolicyDefinition", "policyType", "policyRule", "mode"),
    **_body(
        "PolicyDefinitionParameters",
        {
            "displayName": _STRING,
            "description": _STRING,
            "mode": {"type": "string", "enum": ["All", "Indexed"]},
            "metadata": _OBJECT,
            "parameters": _OBJECT,
            "policyRule": {
                "type": "object",
                "required": ["if", "then"],
                "properties": {"if": _OBJECT, "then": _OBJECT},
            },
        },
        ["policyRule"],
    ),
}
SETS = {
    **_resource("PolicySetDefinition", "policyType", "policyDefinitions"),
    **_body(
        "PolicySetDefinitionParameters",
        {
            "displayName": _STRING,
            "metadata": _OBJECT,
            "parameters": _OBJECT,
            "policyDefinitions": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["policyDefinitionId"],
                    "properties": {
                        "policyDefinitionId": _STRING,
                        "policyDefinitionReferenceId": _STRING,
                        "parameters": _OBJECT,
                    },
                },
            },
        },
        ["policyDefinitions"],
    ),
}
_MODE = {"type": "string", "enum": ["Default", "DoNotEnforce"]}
ASSIGNMENTS = {
    **_resource("PolicyAssignment", "policyDefinitionId", "scope", "enforcementMode"),
    **_body(
        "PolicyAssignmentParameters",
        {
            "displayName": _STRING,
            "policyDefinitionId": _STRING,
            "notScopes": {"type": "array", "items": _STRING},
            "parameters": _OBJECT,
            "metadata": _OBJECT,
            "enforcementMode": _MODE,
        },
        ["policyDefinitionId"],
    ),
    "PolicyAssignmentUpdate": {
        "type": "object",
        "properties": {"location": _STRING, "identity": _OBJECT, "properties": _OBJECT},
    },
}
EXEMPTIONS = {
    **_resource("PolicyExemption", "policyAssignmentId", "exemptionCategory"),
    **_body(
        "PolicyExemptionParameters",
        {
            "policyAssignmentId": _STRING,
            "policyDefinitionReferenceIds": {"type": "array", "items": _STRING},
            "exemptionCategory": {"type": "string", "enum": ["Waiver", "Mitigated"]},
            "expiresOn": {"type": "string", "format": "date-time"},
            "displayName": _STRING,
        },
        ["policyAssignmentId", "exemptionCategory"],
    ),
}
_QUERY = {
    "type": "object",
    "required": ["@odata.context", "@odata.count", "value"],
    "properties": {
        "@odata.context": _STRING,
        "@odata.count": {"type": "integer"},
        "value": {"type": "array", "items": _OBJECT},
    },
}
STATES = {"PolicyStatesQueryResults": _QUERY, "SummarizeResults": _QUERY}
REMEDIATIONS = {
    **_resource("Remediation", "policyAssignmentId", "provisioningState", "deploymentStatus"),
    **_body(
        "RemediationParameters",
        {
            "policyAssignmentId": _STRING,
            "policyDefinitionReferenceId": _OPTIONAL,
            "resourceDiscoveryMode": {
                "type": "string",
                "enum": ["ExistingNonCompliant", "ReEvaluateCompliance"],
            },
            "filters": {
                "type": "object",
                "properties": {"locations": {"type": "array", "items": _STRING}},
            },
            "resourceCount": {"type": "integer", "minimum": 1, "maximum": 50_000},
        },
        ["policyAssignmentId"],
    ),
    "RemediationDeploymentsListResult": {
        "type": "object",
        "required": ["value"],
        "properties": {"value": {"type": "array", "items": _OBJECT}, "nextLink": _STRING},
    },
}
