"""A program of a machine's own: who am I in Azure, and may I look at myself?

Runs on the machine with nothing but what a service there has: the environment that the agent announces, and
Microsoft's SDKs. Where ARM is, and whom to trust, stands in WHOAMI.
"""

from __future__ import annotations

import json
import os

import jwt
from azure.identity import ManagedIdentityCredential
from azure.mgmt.hybridcompute import HybridComputeManagementClient

SCOPE = "https://management.azure.com/.default"


def main() -> None:
    """Print the claims of a token and what ARM says to it."""
    where = json.loads(os.environ["WHOAMI"])
    credential = ManagedIdentityCredential()
    token = credential.get_token(SCOPE)
    claims = jwt.decode(token.token, options={"verify_signature": False})
    print("ManagedIdentityCredential().get_token(...)")
    for name in ("aud", "oid", "xms_mirid"):
        print(f"  {name:<10} {claims[name]}")
    client = HybridComputeManagementClient(
        credential,
        where["subscription"],
        base_url=where["arm"],
        credential_scopes=[SCOPE],
        connection_verify=where["ca"],
    )
    with client:
        machine = client.machines.get(where["group"], where["name"])
    status = getattr(machine.status, "value", machine.status)  # an enum, or text that it does not know
    print(f"machines.get with that token: {machine.name} is {status}")


if __name__ == "__main__":
    main()
