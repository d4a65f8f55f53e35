"""Microsoft.GuestConfiguration: guest assignments on machines, and their reports."""

from __future__ import annotations

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.table import ResourceType
from arcbed_cloud.providers.guestconfiguration.assignments import KIND, GuestAssignments
from arcbed_cloud.providers.guestconfiguration.handlers import assignment_types
from arcbed_cloud.providers.guestconfiguration.reports import Finding, Reports


def resource_types(
    context: ProviderContext, assignments: GuestAssignments | None = None, reports: Reports | None = None
) -> list[ResourceType]:
    """The provider's rows.

    Args:
        context: what ARM lends to providers.
        assignments: the domain object that the agent's service and policy work on too; made if left out.
        reports: likewise.
    """
    assignments = assignments or GuestAssignments(context)
    return assignment_types(context, assignments, reports or Reports(context.plane, assignments))


__all__ = ["KIND", "Finding", "GuestAssignments", "Reports", "resource_types"]
