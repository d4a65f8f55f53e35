"""A connected machine as azcmagent sees it, and command lines for it."""

from __future__ import annotations

GUID = "0b7dd8a8-1d8b-4b38-9c5e-0f5f6f9d9a01"
RESOURCE = f"/subscriptions/{GUID}/resourceGroups/rg/providers/Microsoft.HybridCompute/machines/web-01"
CONNECTED = {
    "status": "Connected",
    "registration": "connected",
    "resource_name": "web-01",
    "resource_group": "rg",
    "subscription_id": GUID,
    "tenant_id": GUID,
    "resource_id": RESOURCE,
    "location": "westeurope",
    "cloud": "AzureCloud",
    "last_heartbeat": "2026-01-02T03:04:05Z",
}
WANTED = {
    "subscription-id": GUID,
    "resource-group": "rg",
    "location": "West Europe",
    "resource-name": "web-01",
}
PRINCIPAL = {"service-principal-id": GUID, "tenant-id": GUID, "service-principal-secret": "s3cret"}


def words(**changes: str) -> list[str]:
    """The flags of a good ``azcmagent connect``, with `changes`; an empty value leaves a flag out."""
    flags = {**WANTED, **PRINCIPAL, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return [word for name, value in flags.items() if value for word in (f"--{name}", value)]
