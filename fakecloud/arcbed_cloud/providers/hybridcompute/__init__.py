"""Microsoft.HybridCompute: machines."""

from __future__ import annotations

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.table import ResourceType
from arcbed_cloud.providers.hybridcompute.handlers import machine_type
from arcbed_cloud.providers.hybridcompute.machines import Machines
from arcbed_cloud.providers.hybridcompute.manifest import NAMESPACE, REGIONS
from arcbed_cloud.providers.hybridcompute.versions import API_VERSIONS


def resource_types(context: ProviderContext, machines: Machines | None = None) -> list[ResourceType]:
    """The provider's rows.

    Args:
        context: what ARM lends to providers.
        machines: the domain object that the identity service works on too; made here if left out.
    """
    if machines is None:
        machines = Machines(context.plane, context.directory)
    return [
        machine_type(context, machines),
        *context.operations.resource_types(NAMESPACE, API_VERSIONS, REGIONS),
    ]


__all__ = ["Machines", "resource_types"]
