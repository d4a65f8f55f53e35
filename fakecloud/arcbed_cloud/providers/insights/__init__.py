"""Microsoft.Insights: the activity log and the categories of its events."""

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.table import ResourceType
from arcbed_cloud.providers.insights import events

__all__ = ["resource_types"]


def resource_types(context: ProviderContext) -> list[ResourceType]:
    """Rows of the table."""
    return events.resource_types(context)
