"""Microsoft.Resources: subscriptions, groups, providers, tags, and the list of everything."""

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.table import ResourceType
from arcbed_cloud.providers.resources import groups, listing, namespaces, subscriptions, tagging
from arcbed_cloud.providers.resources.namespaces import operations_type

__all__ = ["operations_type", "resource_types"]


def resource_types(context: ProviderContext) -> list[ResourceType]:
    """Rows of the table."""
    return [
        row
        for room in (subscriptions, groups, listing, namespaces, tagging)
        for row in room.resource_types(context)
    ]
