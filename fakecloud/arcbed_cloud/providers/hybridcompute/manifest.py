"""What ARM's provider documents say about the namespaces that Azure Arc-enabled servers need.

Source: provider documents of Microsoft.HybridCompute and Microsoft.HybridConnectivity as ARM answered them in
October 2024; api-versions from Microsoft's published type index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from arcbed_cloud.arm.table import ResourceType, Scope
from arcbed_cloud.providers.hybridcompute.versions import API_VERSIONS

# One name is spelled in lower case in ARM's own answer.
REGIONS = (
    "West Central US",
    "West US 2",
    "West Europe",
    "Southeast Asia",
    "East US",
    "Australia East",
    "South Central US",
    "East US 2",
    "North Europe",
    "France Central",
    "Japan East",
    "UK South",
    "East Asia",
    "Canada Central",
    "Korea Central",
    "North Central US",
    "West US",
    "West US 3",
    "Central US",
    "UK West",
    "Germany West Central",
    "Brazil South",
    "Switzerland North",
    "UAE North",
    "Central India",
    "Canada East",
    "South Africa North",
    "Sweden Central",
    "Australia Southeast",
    "Norway East",
    "Italy North",
    "South India",
    "Israel Central",
    "japan west",
    "Qatar Central",
    "East US 2 EUAP",
    "Central US EUAP",
)
MOVABLE = "CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SupportsTags, SupportsLocation"
MACHINE = (
    "CrossResourceGroupResourceMove, CrossSubscriptionResourceMove, SystemAssignedResourceIdentity, "
    "SupportsTags, SupportsLocation"
)
TRACKED = "SupportsTags, SupportsLocation"
EXTENSION = "SupportsExtension"
GUEST_CONFIGURATION_VERSIONS = (
    "2024-04-05",
    "2022-01-25",
    "2021-01-25",
    "2020-06-25",
    "2018-11-20",
    "2018-06-30-preview",
    "2018-01-20-preview",
)
HYBRID_CONNECTIVITY_VERSIONS = (
    "2027-01-01",
    "2024-12-01",
    "2023-03-15",
    "2022-05-01-preview",
    "2021-10-06-preview",
)


@dataclass(frozen=True, slots=True)
class ManifestType:
    """One entry of ``resourceTypes``: path below the namespace, capabilities, versions, display locations."""

    path: str
    capabilities: str
    api_versions: Sequence[str]
    locations: Sequence[str] = REGIONS


@dataclass(frozen=True, slots=True)
class ProviderManifest:
    """A provider as ARM describes it; `application_ids` become ``authorizations``."""

    namespace: str
    types: Sequence[ManifestType]
    application_ids: Sequence[str] = ()
    registration_policy: str = "RegistrationRequired"


def _types(versions: Sequence[str], by_capability: Mapping[str, str]) -> tuple[ManifestType, ...]:
    return tuple(
        ManifestType(path, capabilities, versions)
        for capabilities, paths in by_capability.items()
        for path in paths.split()
    )


HYBRID_COMPUTE = ProviderManifest(
    "Microsoft.HybridCompute",
    _types(
        API_VERSIONS,
        {
            MACHINE: "machines",
            MOVABLE: (
                "machines/extensions machines/runcommands machines/licenseProfiles licenses "
                "privateLinkScopes gateways"
            ),
            EXTENSION: "settings networkConfigurations",
            "None": (
                "machines/hybridIdentityMetadata machines/privateLinkScopes machines/assessPatches "
                "machines/installPatches locations locations/publishers locations/publishers/extensionTypes "
                "locations/publishers/extensionTypes/versions locations/operationStatus "
                "locations/operationResults locations/updateCenterOperationResults "
                "locations/privateLinkScopes locations/notifyExtension locations/notifyRunCommand "
                "locations/notifyNetworkSecurityPerimeterUpdatesAvailable operations osType "
                "osType/agentVersions osType/agentVersions/latest validateLicense "
                "privateLinkScopes/privateEndpointConnections "
                "privateLinkScopes/privateEndpointConnectionProxies "
                "privateLinkScopes/networkSecurityPerimeterConfigurations "
                "privateLinkScopes/networkSecurityPerimeterAssociationProxies"
            ),
        },
    ),
    (
        "8c420feb-03df-47cc-8a05-55df0cf3064b",
        "d2a590e7-6906-4a45-8f41-cecfdca9bca1",
        "5e5e43d4-54da-4211-86a4-c6e7f3715801",
        "d00b5d58-cae5-42ad-ae0a-5a2e6f7ee6c9",
        "c8f5141d-83e0-4e9a-84d0-bb6677e26f64",
        "eec53b1f-b9a4-4479-acf5-6b247c6a49f2",
        "5a8800f2-f31d-4654-9bed-f5b368c703f8",
        "5bab4c7f-51c3-479b-a199-06b31afecc8f",
        "ac9dc5fe-b644-4832-9d03-d9f1ab70c5f7",
    ),
)

HYBRID_CONNECTIVITY = ProviderManifest(
    "Microsoft.HybridConnectivity",
    _types(
        HYBRID_CONNECTIVITY_VERSIONS,
        {
            EXTENSION: "endpoints solutionConfigurations",
            TRACKED: "publicCloudConnectors",
            "None": "Operations Locations Locations/OperationStatuses solutionTypes generateAwsTemplate",
        },
    ),
    (
        "e18cedde-9458-482f-9dd1-558c597ac42e",
        "aacceff9-8ec3-413c-83eb-cb131aaf55c6",
        "9449a792-6831-40e2-9097-29dbc6dd4753",
    ),
)

GUEST_CONFIGURATION = ProviderManifest(
    "Microsoft.GuestConfiguration",
    _types(
        GUEST_CONFIGURATION_VERSIONS,
        {EXTENSION: "guestConfigurationAssignments", "None": "operations"},
    ),
)

MANIFESTS = {
    manifest.namespace.lower(): manifest
    for manifest in (HYBRID_COMPUTE, HYBRID_CONNECTIVITY, GUEST_CONFIGURATION)
}

# Texts of the operations list by action, after Microsoft's permissions reference: (resource, description).
OPERATION_TEXTS: Mapping[str, tuple[str, str]] = {
    "Microsoft.HybridCompute/register/action": (
        "Azure Arc for Servers",
        "Registers the subscription for the Microsoft.HybridCompute Resource Provider",
    ),
    "Microsoft.HybridCompute/unregister/action": (
        "Azure Arc for Servers",
        "Unregisters the subscription for Microsoft.HybridCompute Resource Provider",
    ),
    "Microsoft.HybridCompute/operations/read": (
        "Azure Arc for Servers",
        "Read all Operations for Azure Arc for Servers",
    ),
    "Microsoft.HybridCompute/machines/read": ("machines", "Read any Azure Arc machines"),
    "Microsoft.HybridCompute/machines/write": ("machines", "Writes an Azure Arc machines"),
    "Microsoft.HybridCompute/machines/delete": ("machines", "Deletes an Azure Arc machines"),
}

# The row of the table without its verbs: what validation of machines goes by.
MACHINE_TYPE = ResourceType(
    namespace=HYBRID_COMPUTE.namespace,
    path="machines",
    scope=Scope.GROUP,
    api_versions=API_VERSIONS,
    verbs=(),
    name_parameter="machineName",
    locations=REGIONS,
    name_pattern=r"[a-zA-Z0-9\-_.]{1,54}",
    tracked=True,
    capabilities=MACHINE,
)
