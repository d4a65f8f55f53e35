"""Microsoft.HybridCompute: machines and their extensions."""

from __future__ import annotations

from dataclasses import replace

from arcbed_cloud.arm.activity import ActivityLog
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.table import ResourceType
from arcbed_cloud.providers.hybridcompute.extensions import Extensions
from arcbed_cloud.providers.hybridcompute.handlers import machine_type
from arcbed_cloud.providers.hybridcompute.machines import Machines
from arcbed_cloud.providers.hybridcompute.manifest import NAMESPACE, REGIONS
from arcbed_cloud.providers.hybridcompute.versions import API_VERSIONS
from arcbed_cloud.services.extensions import Gallery


def resource_types(
    context: ProviderContext, machines: Machines | None = None, extensions: Extensions | None = None
) -> list[ResourceType]:
    """The provider's rows.

    Args:
        context: what ARM lends to providers.
        machines: the domain object that the identity service works on too; made here if left out.
        extensions: what the agents' service works on too; likewise.
    """
    if machines is None:
        machines = Machines(context.plane, context.directory)
    if extensions is None:
        gallery = Gallery(context.plane.settings.state)
        extensions = Extensions(context, machines, gallery, ActivityLog(context.plane))
    machine = machine_type(context, machines)
    return [
        replace(machine, verbs=(*machine.verbs, *extensions.machine_actions())),
        *extensions.resource_types(),
        *context.operations.resource_types(NAMESPACE, API_VERSIONS, REGIONS),
    ]


__all__ = ["Extensions", "Machines", "resource_types"]
