"""Component schemas of Microsoft.Resources, in our words and only as deep as clients look."""

from __future__ import annotations

from typing import Any

STRING = {"type": "string"}
TAGS = {
    "type": "object",
    "additionalProperties": {"type": "string", "maxLength": 256},
    "maxProperties": 50,
}


def reference(name: str) -> dict[str, str]:
    """A pointer to a component schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def listing(item: str) -> dict[str, Any]:
    """``{"value": [item], "nextLink"?}``."""
    return {
        "type": "object",
        "required": ["value"],
        "properties": {"value": {"type": "array", "items": reference(item)}, "nextLink": STRING},
    }


def model(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """An object schema."""
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema


SUBSCRIPTIONS: dict[str, Any] = {
    "Subscription": model(
        ("id", "subscriptionId", "tenantId", "displayName", "state"),
        id=STRING,
        subscriptionId=STRING,
        tenantId=STRING,
        displayName=STRING,
        state={"type": "string", "enum": ["Enabled", "Warned", "PastDue", "Disabled", "Deleted"]},
        authorizationSource=STRING,
        managedByTenants={"type": "array", "items": {"type": "object"}},
        subscriptionPolicies={"type": "object"},
        tags=TAGS,
    ),
    "SubscriptionListResult": listing("Subscription"),
    "Location": model(
        ("name", "displayName"),
        id=STRING,
        name=STRING,
        type=STRING,
        displayName=STRING,
        regionalDisplayName=STRING,
        metadata={"type": "object"},
    ),
    "LocationListResult": listing("Location"),
    "TenantIdDescription": model(("id", "tenantId"), id=STRING, tenantId=STRING, displayName=STRING),
    "TenantListResult": listing("TenantIdDescription"),
}

GROUPS: dict[str, Any] = {
    "ResourceGroup": model(
        ("location",),
        id={"type": "string", "readOnly": True},
        name={"type": "string", "readOnly": True},
        type={"type": "string", "readOnly": True},
        location={"type": "string", "minLength": 1},
        managedBy=STRING,
        tags=TAGS,
        properties=model(provisioningState={"type": "string", "readOnly": True}),
    ),
    "ResourceGroupPatchable": model(managedBy=STRING, tags=TAGS),
    "ResourceGroupListResult": listing("ResourceGroup"),
}

RESOURCES: dict[str, Any] = {
    "GenericResourceExpanded": model(
        ("id", "name", "type"),
        id=STRING,
        name=STRING,
        type=STRING,
        kind=STRING,
        location=STRING,
        tags=TAGS,
        identity={"type": "object"},
        createdTime=STRING,
        changedTime=STRING,
        provisioningState=STRING,
    ),
    "ResourceListResult": listing("GenericResourceExpanded"),
}

PROVIDERS: dict[str, Any] = {
    "Provider": model(
        ("id", "namespace", "resourceTypes"),
        id=STRING,
        namespace=STRING,
        registrationState=STRING,
        registrationPolicy=STRING,
        authorizations={"type": "array", "items": {"type": "object"}},
        resourceTypes={"type": "array", "items": {"type": "object"}},
    ),
    "ProviderSelection": {"type": "object"},
    "ProviderListResult": listing("ProviderSelection"),
    "ProviderResourceTypeListResult": model(("value",), value={"type": "array", "items": {"type": "object"}}),
}

OPERATIONS: dict[str, Any] = {
    "Operation": model(
        ("name", "display"),
        name=STRING,
        isDataAction={"type": "boolean"},
        display=model(provider=STRING, resource=STRING, operation=STRING, description=STRING),
    ),
    "OperationListResult": listing("Operation"),
}

TAGGING: dict[str, Any] = {
    "Tags": model(tags=TAGS),
    "TagsResource": model(
        ("properties",),
        id={"type": "string", "readOnly": True},
        name={"type": "string", "readOnly": True},
        type={"type": "string", "readOnly": True},
        properties=reference("Tags"),
    ),
    "TagsPatchResource": model(
        ("operation",),
        operation={"type": "string", "enum": ["Replace", "Merge", "Delete"]},
        properties=reference("Tags"),
    ),
}
