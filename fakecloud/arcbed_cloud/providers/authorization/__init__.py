"""Microsoft.Authorization: role definitions and role assignments."""

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.table import ResourceType
from arcbed_cloud.providers.authorization import assignments, roles
from arcbed_cloud.providers.authorization.assignments import grant

__all__ = ["grant", "resource_types"]


def resource_types(context: ProviderContext) -> list[ResourceType]:
    """Rows of the table."""
    return [*roles.resource_types(context), *assignments.resource_types(context)]
