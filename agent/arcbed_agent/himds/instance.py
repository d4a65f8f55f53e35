"""Documents of the local metadata routes.

Shape: as seen in published output of api-version 2020-06-01 on Linux.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from arcbed_agent.cloud.endpoints import CLOUDS, Endpoints
from arcbed_agent.config import AgentConfig

_EMPTY: Final = (
    "customData",
    "isHostCompatibilityLayerVm",
    "offer",
    "placementGroupId",
    "platformFaultDomain",
    "platformUpdateDomain",
    "provider",
    "publisher",
    "vmScaleSetName",
    "vmSize",
    "zone",
)


def compute(config: AgentConfig, metadata: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """``/metadata/instance/compute``; `metadata` has ARM's property names."""
    known = CLOUDS.get(config.cloud)
    return {
        **dict.fromkeys(_EMPTY, ""),
        "azEnvironment": known.environment if known else "AzurePublicCloud",
        "location": config.location,
        "name": config.resource_name,
        "osType": str(metadata.get("osType") or "linux"),
        "plan": {"name": "", "product": "", "publisher": ""},
        "publicKeys": None,
        "resourceGroupName": config.resource_group,
        "resourceId": config.resource_id,
        "securityProfile": {"secureBootEnabled": "", "virtualTpmEnabled": ""},
        "sku": str(metadata.get("osSku") or ""),
        "storageProfile": {},
        "subscriptionId": config.subscription_id,
        "tags": ";".join(f"{name}:{value}" for name, value in tags.items()),
        "tagsList": [{"name": name, "value": value} for name, value in tags.items()],
        "version": str(metadata.get("osVersion") or ""),
        "vmId": config.vm_id,
    }


def instance(config: AgentConfig, metadata: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """``/metadata/instance``."""
    return {"compute": compute(config, metadata, tags), "network": {}}


def cloud_endpoints(cloud: str, endpoints: Endpoints) -> dict[str, Any]:
    """``/metadata/endpoints``, with the names of ARM's own metadata document."""
    return {
        "name": cloud,
        "resourceManager": endpoints.arm,
        "authentication": {"loginEndpoint": endpoints.login, "audiences": [endpoints.arm]},
        "suffixes": {"relayEndpointSuffix": endpoints.relay_suffix},
        "dataplaneEndpoints": {
            "arcHybridIdentityServiceEndpoint": endpoints.his,
            "arcGlobalNotificationServiceEndpoint": endpoints.gns,
            "arcGuestConfigurationServiceEndpoint": endpoints.gas,
        },
    }
