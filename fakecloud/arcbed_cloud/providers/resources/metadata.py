"""``GET /metadata/endpoints``: the anonymous document from which clients learn a cloud's other addresses.

Versions from 2022-09-01 on answer one object, older ones a list, as the Azure CLI reads them. The Arc members
are those that Microsoft's own tools for disconnected clouds read, and one of ours (``docs/wire.md``).
"""

from __future__ import annotations

from typing import Any

import orjson

from arcbed_cloud import hosts
from arcbed_cloud.arm.authentication import login_endpoint
from arcbed_cloud.arm.errors import ArmError
from arcbed_cloud.arm.versions import read
from arcbed_cloud.arm.wire import Call

OBJECT_SINCE = "2022-09-01"
CORE_AUDIENCES = ("https://management.core.windows.net/", "https://management.azure.com/")


def is_asked(path: str) -> bool:
    """Also with doubled slashes, as ``az cloud register`` makes them."""
    return len(path) < 40 and [part for part in path.lower().split("/") if part] == ["metadata", "endpoints"]


def answer(call: Call) -> bytes:
    """The document in the form of the api-version that was asked for.

    Raises:
        ArmError: 400 for a missing or malformed api-version, 405 for writes.
    """
    if call.method not in {"GET", "HEAD"}:
        raise ArmError(405, "MethodNotAllowed", f"The HTTP method '{call.method}' is not supported.")
    version = read(call.query)
    document = endpoints(call.base_url)
    return orjson.dumps(document if version >= OBJECT_SINCE else [document])


def endpoints(base_url: str) -> dict[str, Any]:
    """One cloud, named in terms of the host that the client used."""
    host = base_url.split("://", 1)[1].partition("/")[0]
    return _azure() if hosts.service_of(host) == "arm" else _here(base_url)


def _here(base_url: str) -> dict[str, Any]:
    """No DNS: every service is a path of this address."""
    root = base_url.removesuffix("/arm")
    address = root.split("://", 1)[1]
    return {
        **_common(),
        "name": "arcbed",
        "portal": root,
        "authentication": {
            "loginEndpoint": login_endpoint(base_url),
            "audiences": [*CORE_AUDIENCES, f"{base_url}/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "graph": f"{root}/graph/",
        "graphAudience": f"{root}/graph/",
        "microsoftGraphResourceId": f"{root}/graph/",
        "resourceManager": f"{base_url}/",
        "dataplaneEndpoints": {
            "arcHybridIdentityServiceEndpoint": f"{root}/his",
            "arcGuestConfigurationServiceEndpoint": f"{root}/gas",
            "arcGlobalNotificationServiceEndpoint": f"{root}/gns",
        },
        "suffixes": {**_suffixes(), "relayEndpointSuffix": f"{address}/relay"},
    }


def _azure() -> dict[str, Any]:
    """The public cloud's own names."""
    return {
        **_common(),
        "name": "AzureCloud",
        "portal": "https://portal.azure.com",
        "authentication": {
            "loginEndpoint": "https://login.microsoftonline.com",
            "audiences": list(CORE_AUDIENCES),
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "graph": "https://graph.windows.net/",
        "graphAudience": "https://graph.windows.net/",
        "microsoftGraphResourceId": "https://graph.microsoft.com/",
        "resourceManager": "https://management.azure.com/",
        "dataplaneEndpoints": {
            "arcHybridIdentityServiceEndpoint": "https://gbl.his.arc.azure.com",
            "arcGuestConfigurationServiceEndpoint": "https://agentserviceapi.guestconfiguration.azure.com",
            "arcGlobalNotificationServiceEndpoint": "https://guestnotificationservice.azure.com",
        },
        "suffixes": {**_suffixes(), "relayEndpointSuffix": "servicebus.windows.net"},
    }


def _common() -> dict[str, Any]:
    return {
        "activeDirectoryDataLake": "https://datalake.azure.net/",
        "appInsightsResourceId": "https://api.applicationinsights.io",
        "batch": "https://batch.core.windows.net/",
        "gallery": "https://gallery.azure.com/",
        "logAnalyticsResourceId": "https://api.loganalytics.io",
        "media": "https://rest.media.azure.net",
        "ossrDbmsResourceId": "https://ossrdbms-aad.database.windows.net",
        "sqlManagement": "https://management.core.windows.net:8443/",
        "synapseAnalyticsResourceId": "https://dev.azuresynapse.net",
    }


def _suffixes() -> dict[str, str]:
    return {
        "acrLoginServer": "azurecr.io",
        "keyVaultDns": "vault.azure.net",
        "sqlServerHostname": "database.windows.net",
        "storage": "core.windows.net",
    }
