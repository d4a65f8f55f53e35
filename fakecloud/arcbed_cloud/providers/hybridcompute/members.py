"""What of a machine a client may write, and what the agent reports; everything else in a body is ignored.

Sources: the mutability marks of the swagger definitions Machine, MachineProperties and
MachineUpdateProperties, and for newer members the models of Microsoft's SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from arcbed_cloud.providers.hybridcompute.versions import has

TEXT, FLAG, ARRAY, ANY = "text", "flag", "array", "any"
Template = Mapping[str, Any]
Refuse = Callable[[str], Exception]

_PATCHES: Template = {"patchSettings": {"assessmentMode": TEXT, "patchMode": TEXT, "enableHotpatching": FLAG}}
_SERVICE: Template = {"status": TEXT, "startupType": TEXT}

# Members of `properties` that PATCH takes.
PATCHABLE: Template = {
    "locationData": {"name": TEXT, "city": TEXT, "district": TEXT, "countryOrRegion": TEXT},
    "osProfile": {"windowsConfiguration": _PATCHES, "linuxConfiguration": _PATCHES},
    "cloudMetadata": {},
    "agentUpgrade": {"desiredVersion": TEXT, "correlationId": TEXT, "enableAutomaticUpgrade": FLAG},
    "parentClusterResourceId": TEXT,
    "privateLinkScopeResourceId": TEXT,
    "identityKeyStore": TEXT,
    "tpmEkCertificate": TEXT,
}
# Members of `properties` that PUT takes. `vmId` and `clientPublicKey` have rules of their own.
WRITABLE: Template = {
    **PATCHABLE,
    "osType": TEXT,
    "mssqlDiscovered": TEXT,
    "serviceStatuses": {"extensionService": _SERVICE, "guestConfigurationService": _SERVICE},
    "extensions": ARRAY,
}

# What a heartbeat's metadata may hold, in ARM's names. A complete report: what it leaves out is unknown.
REPORTED: Template = {
    "osName": TEXT,
    "osVersion": TEXT,
    "osSku": TEXT,
    "osEdition": TEXT,
    "osType": TEXT,
    "osProfile": {"computerName": TEXT},
    "machineFqdn": TEXT,
    "dnsFqdn": TEXT,
    "adFqdn": TEXT,
    "domainName": TEXT,
    "vmUuid": TEXT,
    "displayName": TEXT,
    "hardwareProfile": ANY,
    "firmwareProfile": ANY,
    "storageProfile": ANY,
    "networkProfile": ANY,
    "cloudMetadata": {"provider": TEXT},
    "mssqlDiscovered": TEXT,
    "licenseProfile": ANY,
    "detectedProperties": ANY,
}
AGENT_CONFIGURATION: Template = {
    "proxyUrl": TEXT,
    "incomingConnectionsPorts": ARRAY,
    "extensionsAllowList": ARRAY,
    "extensionsBlockList": ARRAY,
    "proxyBypass": ARRAY,
    "extensionsEnabled": TEXT,
    "guestConfigurationEnabled": TEXT,
    "configMode": TEXT,
}
SERVICES = frozenset({"extensionService", "guestConfigurationService"})
# Members that both sides write: a report without them leaves them alone.
SHARED = frozenset({"osProfile", "cloudMetadata", "osType", "mssqlDiscovered"})


def chosen(given: Mapping[str, Any], template: Template, refuse: Refuse, version: str | None = None) -> Any:
    """The part of `given` that `template` knows, in the template's spelling (JSON names ignore case here).

    Args:
        given: members of a body; null stays null and means "clear".
        template: nested names with the kind of value.
        refuse: makes the error for a member (``LocationData.Name``) whose value has the wrong kind.
        version: leave out what this api-version does not know; None takes all.
    """
    return _chosen(given, template, refuse, version, "")


def _chosen(
    given: Mapping[str, Any], template: Template, refuse: Refuse, version: str | None, path: str
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in given.items():
        name = _spelled(key, template)
        if name is None:
            continue
        where = f"{path}.{name}" if path else name
        if version is not None and not has(version, f"properties.{where}"):
            continue
        kind = template[name]
        if value is not None and isinstance(kind, Mapping):
            if not isinstance(value, dict):
                raise refuse(_dotnet(where))
            result[name] = _chosen(value, kind, refuse, version, where)
        elif value is None or _fits(value, kind):
            result[name] = value
        else:
            raise refuse(_dotnet(where))
    return result


def _spelled(key: str, template: Template) -> str | None:
    """The template's name for `key`; most clients spell it so themselves."""
    if key in template:
        return key
    lower = key.lower()
    return next((name for name in template if name.lower() == lower), None)


def _fits(value: Any, kind: str) -> bool:
    match kind:
        case "text":
            return isinstance(value, str)
        case "flag":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, (dict, list))


def _dotnet(path: str) -> str:
    return ".".join(part[:1].upper() + part[1:] for part in path.split("."))


def merged(before: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`before` with `change` on top: objects merge, null removes, `locationData` is replaced as a whole."""
    result = dict(before)
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and name != "locationData":
            old = result.get(name)
            result[name] = merged(old if isinstance(old, dict) else {}, value)
        else:
            result[name] = value
    return result
