"""The bed through Microsoft's own, unmodified SDKs. Their clients block, so they are called in a thread."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

PACKAGES = ("azure-identity", "azure-mgmt-hybridcompute")


def installed() -> bool:
    """Whether the extra `demo` is there."""
    try:
        return all(find_spec(name) is not None for name in ("azure.identity", "azure.mgmt.hybridcompute"))
    except ModuleNotFoundError:
        return False


def versions() -> str:
    """Which SDKs these are."""
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


class Owner:
    """`HybridComputeManagementClient` signed in with `ClientSecretCredential` as the owner.

    Args:
        env: what ``fakecloud env --json`` says.
    """

    def __init__(self, env: Mapping[str, Any]) -> None:
        from azure.identity import ClientSecretCredential
        from azure.mgmt.hybridcompute import HybridComputeManagementClient

        owner = env["owner"]
        self._credential = ClientSecretCredential(
            env["tenantId"],
            owner["clientId"],
            owner["clientSecret"],
            authority=env["authority"],
            disable_instance_discovery=True,
            connection_verify=env["caFile"],
        )
        self._client = HybridComputeManagementClient(
            self._credential,
            env["subscriptionId"],
            base_url=env["armEndpoint"],
            credential_scopes=["https://management.azure.com/.default"],
            connection_verify=env["caFile"],
        )

    def machine(self, group: str, name: str) -> Mapping[str, Any]:
        """`machines.get` as a dictionary."""
        found: Mapping[str, Any] = self._client.machines.get(group, name).as_dict()
        return found

    def machines(self, group: str) -> list[str]:
        """Names of `machines.list_by_resource_group`."""
        return [str(machine.name) for machine in self._client.machines.list_by_resource_group(group)]

    def set_tags(self, group: str, name: str, tags: Mapping[str, str]) -> None:
        """`machines.update` with nothing but tags."""
        from azure.mgmt.hybridcompute.models import MachineUpdate

        self._client.machines.update(group, name, MachineUpdate(tags=dict(tags)))

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
        self._credential.close()
