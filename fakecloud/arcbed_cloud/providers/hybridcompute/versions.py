"""The api-versions of Microsoft.HybridCompute, and which member of a machine came with which of them.

Source: Microsoft's published type index (37 versions) and the swagger or SDK model of each version.
"""

from __future__ import annotations

from functools import cache

# Oldest first, in order of publication: text order would put a preview behind the stable version it preceded.
PUBLISHED = (
    "2019-03-18-preview",
    "2019-08-02-preview",
    "2019-12-12",
    "2020-07-30-preview",
    "2020-08-02",
    "2020-08-15-preview",
    "2021-01-28-preview",
    "2021-03-25-preview",
    "2021-04-22-preview",
    "2021-05-17-preview",
    "2021-05-20",
    "2021-06-10-preview",
    "2021-12-10-preview",
    "2022-03-10",
    "2022-05-10-preview",
    "2022-08-11-preview",
    "2022-11-10",
    "2022-12-27-preview",
    "2022-12-27",
    "2023-03-15-preview",
    "2023-06-20-preview",
    "2023-10-03-preview",
    "2024-03-31-preview",
    "2024-05-20-preview",
    "2024-07-10",
    "2024-07-31-preview",
    "2024-09-10-preview",
    "2024-11-10-preview",
    "2025-01-13",
    "2025-02-19-preview",
    "2025-06-01",
    "2025-08-21-preview",
    "2025-09-16-preview",
    "2026-02-12-preview",
    "2026-06-04-preview",
    "2026-06-16-preview",
    "2026-07-15",
)
API_VERSIONS = PUBLISHED[::-1]
_ORDER = {version: index for index, version in enumerate(PUBLISHED)}

# From this version on a machine's DELETE is a long-running operation.
ASYNC_DELETE = "2025-01-13"

# Member (a path through objects and arrays) -> first version that has it. What is not named was always there.
SINCE: dict[str, str] = {
    "systemData": "2021-01-28-preview",
    "resources": "2022-05-10-preview",
    "kind": "2023-03-15-preview",
    "properties.extensions": "2019-08-02-preview",
    "properties.locationData": "2019-12-12",
    "properties.vmUuid": "2020-07-30-preview",
    "properties.osSku": "2020-07-30-preview",
    "properties.domainName": "2020-07-30-preview",
    "properties.adFqdn": "2020-07-30-preview",
    "properties.dnsFqdn": "2020-07-30-preview",
    "properties.privateLinkScopeResourceId": "2021-01-28-preview",
    "properties.parentClusterResourceId": "2021-03-25-preview",
    "properties.detectedProperties": "2021-03-25-preview",
    "properties.mssqlDiscovered": "2021-06-10-preview",
    "properties.osType": "2021-06-10-preview",
    "properties.osProfile.windowsConfiguration": "2021-06-10-preview",
    "properties.osProfile.windowsConfiguration.patchSettings.enableHotpatching": "2024-07-10",
    "properties.osProfile.linuxConfiguration": "2021-06-10-preview",
    "properties.osProfile.linuxConfiguration.patchSettings.enableHotpatching": "2024-07-10",
    "properties.agentConfiguration": "2021-12-10-preview",
    "properties.agentConfiguration.extensionsAllowList": "2022-03-10",
    "properties.agentConfiguration.extensionsBlockList": "2022-03-10",
    "properties.agentConfiguration.proxyBypass": "2022-03-10",
    "properties.agentConfiguration.extensionsEnabled": "2022-03-10",
    "properties.agentConfiguration.guestConfigurationEnabled": "2022-03-10",
    "properties.agentConfiguration.configMode": "2022-05-10-preview",
    "properties.cloudMetadata": "2021-12-10-preview",
    "properties.serviceStatuses": "2022-03-10",
    "properties.agentUpgrade": "2022-12-27-preview",
    "properties.networkProfile": "2023-03-15-preview",
    "properties.networkProfile.networkInterfaces.id": "2026-07-15",
    "properties.networkProfile.networkInterfaces.name": "2026-07-15",
    "properties.networkProfile.networkInterfaces.macAddress": "2026-07-15",
    "properties.licenseProfile": "2023-06-20-preview",
    "properties.osEdition": "2023-10-03-preview",
    "properties.hardwareProfile": "2024-07-31-preview",
    "properties.storageProfile": "2024-07-31-preview",
    "properties.firmwareProfile": "2024-07-31-preview",
    "properties.statusReason": "2026-07-15",
    "properties.identityKeyStore": "2026-07-15",
    "properties.tpmEkCertificate": "2026-07-15",
    "properties.hardwareResourceId": "2026-07-15",
}

# Versions that a member had gone missing from, first and last.
MISSING: dict[str, tuple[str, str]] = {
    "properties.extensions": ("2022-05-10-preview", "2022-08-11-preview"),
}

# Values of `status` that older versions do not know; they show a machine without a status instead.
STATUS_SINCE = {"AwaitingConnection": "2026-07-15"}


def at_least(version: str, first: str) -> bool:
    """True if `version` was published with or after `first`; an unknown version counts as the newest."""
    return _ORDER.get(version, len(PUBLISHED)) >= _ORDER[first]


def has(version: str, member: str) -> bool:
    """True if machines of `version` have the member, e.g. ``properties.osEdition``."""
    if member in SINCE and not at_least(version, SINCE[member]):
        return False
    if member in MISSING:
        first, last = MISSING[member]
        return not _ORDER[first] <= _ORDER.get(version, len(PUBLISHED)) <= _ORDER[last]
    return True


@cache
def unknown_members(version: str) -> tuple[tuple[str, ...], ...]:
    """Paths that an answer of `version` must leave out."""
    return tuple(tuple(member.split(".")) for member in SINCE if not has(version, member))
