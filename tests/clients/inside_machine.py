"""Runs in namespaces of its own: a control plane, himds at the real paths, onboarding, the SDK's credential.

Prints one line of JSON: the token's claims and what ARM says of the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jwt
from azure.identity import ManagedIdentityCredential
from azure.mgmt.hybridcompute import HybridComputeManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from running import RunningCloud, serve

SCOPE = "https://management.azure.com/.default"
HOME = Path("/var/opt/azcmagent")


def private_machine() -> None:
    """Loopback, and /var/opt of this namespace's own, so that nothing of the host is touched."""
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["mount", "--make-rprivate", "/"],
        ["mount", "-t", "tmpfs", "tmpfs", "/var/opt"],
        ["mount", "-t", "tmpfs", "tmpfs", "/var/lib"],
    ):
        subprocess.run(command, check=True)
    HOME.mkdir()


def azcmagent(*arguments: str) -> None:
    """Run azcmagent as a person would; its output goes to stderr."""
    command = [sys.executable, "-m", "arcbed_agent.cli", *arguments]
    subprocess.run(command, check=True, stdout=sys.stderr)


def start_himds(cloud: RunningCloud) -> subprocess.Popen[bytes]:
    """himds on the documented port; returns once its socket is there."""
    settings = {
        "endpoints.arm": cloud.url,
        "endpoints.login": cloud.env["authority"],
        "tls.caBundle": cloud.ca,
        "host.imdsAddress": "http://127.0.0.1:9",  # nothing answers there: not an Azure VM
    }
    (HOME / "localconfig.json").write_text(json.dumps(settings))
    process = subprocess.Popen([sys.executable, "-m", "arcbed_agent.himds"], stdout=subprocess.PIPE)
    if not process.stdout.readline():
        raise SystemExit("himds ended before it was ready")
    return process


def main() -> None:
    """Onboard, ask for a token through the SDK, read ARM with it."""
    private_machine()
    cloud = serve(Path(sys.argv[1]) / "state")
    himds = start_himds(cloud)
    try:
        print(json.dumps(observe(cloud)))
    finally:
        himds.terminate()
        himds.wait()
        cloud.stop()


def observe(cloud: RunningCloud) -> dict:
    """What the SDK sees from inside an onboarded machine."""
    from azure.identity import ClientSecretCredential

    env = cloud.env
    options = {"base_url": cloud.url, "credential_scopes": [SCOPE], "connection_verify": cloud.ca}
    person = ClientSecretCredential(
        env["tenantId"],
        env["owner"]["clientId"],
        env["owner"]["clientSecret"],
        authority=env["authority"],
        disable_instance_discovery=True,
        connection_verify=cloud.ca,
    )
    with ResourceManagementClient(person, env["subscriptionId"], **options) as resources:
        resources.providers.register("Microsoft.HybridCompute")
        resources.resource_groups.create_or_update("inside", {"location": "westeurope"})
    secret = Path(sys.argv[1]) / "secret"
    secret.write_text(env["onboarding"]["clientSecret"])
    azcmagent(
        "connect",
        "--service-principal-id", env["onboarding"]["clientId"],
        "--service-principal-secret-file", str(secret),
        "--tenant-id", env["tenantId"],
        "--subscription-id", env["subscriptionId"],
        "--resource-group", "inside",
        "--location", "westeurope",
        "--resource-name", "inside-01",
    )  # fmt: skip
    os.environ["IDENTITY_ENDPOINT"] = "http://localhost:40342/metadata/identity/oauth2/token"
    os.environ["IMDS_ENDPOINT"] = "http://localhost:40342"
    token = ManagedIdentityCredential().get_token(SCOPE).token
    with HybridComputeManagementClient(person, env["subscriptionId"], **options) as client:
        machine = client.machines.get("inside", "inside-01")
    row = cloud.stored("resources", machine.id) or {}
    return {
        "claims": jwt.decode(token, options={"verify_signature": False}),
        "machineId": machine.id,
        "principalId": machine.identity.principal_id,
        "status": machine.properties.status.value,
        "stored": {"status": row["properties"]["status"], "principalId": row["identity"]["principalId"]},
        "keysLeft": [path.name for path in (HOME / "tokens").iterdir()],
    }


if __name__ == "__main__":
    main()
