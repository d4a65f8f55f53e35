"""Runs under azure-mgmt-hybridcompute 8.x (api-version 2022-03-10), in an environment of its own.

Reads the bed's environment as JSON from standard input and prints what the SDK saw.
"""

from __future__ import annotations

import json
import sys

from azure.core.exceptions import ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.hybridcompute import HybridComputeManagementClient, __version__


def main() -> None:
    """Read, list and delete a machine that ARM has."""
    env = json.load(sys.stdin)
    credential = ClientSecretCredential(
        env["tenantId"],
        env["owner"]["clientId"],
        env["owner"]["clientSecret"],
        authority=env["authority"],
        disable_instance_discovery=True,
        connection_verify=env["caFile"],
    )
    client = HybridComputeManagementClient(
        credential,
        env["subscriptionId"],
        base_url=env["armEndpoint"],
        credential_scopes=["https://management.azure.com/.default"],
        connection_verify=env["caFile"],
    )
    machine = client.machines.get("old-sdk", "old-01", expand="instanceView")
    seen = {
        "version": __version__,
        "id": machine.id,
        "vmId": machine.properties.vm_id,
        "principalId": machine.identity.principal_id,
        "tags": machine.tags,
        "osType": machine.properties.os_type,
        "byGroup": [item.name for item in client.machines.list_by_resource_group("old-sdk")],
        "bySubscription": [item.name for item in client.machines.list_by_subscription()],
        "operations": len(list(client.operations.list())),
    }
    client.machines.delete("old-sdk", "old-01")
    try:
        client.machines.get("old-sdk", "old-01")
    except ResourceNotFoundError as error:
        seen["afterwards"] = error.error.code
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
