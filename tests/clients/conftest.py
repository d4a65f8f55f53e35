"""Microsoft's SDKs, unmodified, pointed at a control plane over TLS with its CA."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from azure.identity import ClientSecretCredential
from azure.mgmt.authorization import AuthorizationManagementClient
from azure.mgmt.hybridcompute import HybridComputeManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient

ARM_SCOPE = "https://management.azure.com/.default"


@pytest.fixture(scope="session")
def options(running_cloud):
    """What every management client is given."""
    return {
        "base_url": running_cloud.url,
        "credential_scopes": [ARM_SCOPE],
        "connection_verify": running_cloud.ca,
    }


@pytest.fixture(scope="session")
def credential_options(running_cloud):
    """What every credential is given."""
    return {
        "authority": running_cloud.env["authority"],
        "disable_instance_discovery": True,
        "connection_verify": running_cloud.ca,
    }


@pytest.fixture(scope="session")
def owner(running_cloud, credential_options):
    """The bed's owner by its secret."""
    principal = running_cloud.env["owner"]
    return ClientSecretCredential(
        running_cloud.env["tenantId"], principal["clientId"], principal["clientSecret"], **credential_options
    )


@pytest.fixture(scope="session")
def subscription(running_cloud):
    return running_cloud.env["subscriptionId"]


@pytest.fixture(scope="session")
def resources(owner, subscription, options) -> Iterator[ResourceManagementClient]:
    with ResourceManagementClient(owner, subscription, **options) as client:
        yield client


@pytest.fixture(scope="session")
def hybridcompute(owner, subscription, options) -> Iterator[HybridComputeManagementClient]:
    with HybridComputeManagementClient(owner, subscription, **options) as client:
        yield client


@pytest.fixture(scope="session")
def authorization(owner, subscription, options) -> Iterator[AuthorizationManagementClient]:
    with AuthorizationManagementClient(owner, subscription, **options) as client:
        yield client


@pytest.fixture
def group(resources) -> str:
    """A resource group of the test's own."""
    name = f"rg-{uuid.uuid4().hex[:8]}"  # noqa: TID251 - the client's own choice of a name
    resources.resource_groups.create_or_update(name, {"location": "westeurope"})
    return name


@pytest.fixture
def registered(resources) -> Callable[[str], None]:
    """Register a namespace if it is not."""

    def register(namespace: str) -> None:
        resources.providers.register(namespace)

    return register
