"""What a resource provider is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from arcbed_cloud.arm.access import Access
from arcbed_cloud.arm.operations import Operations
from arcbed_cloud.arm.registration import Registrations
from arcbed_cloud.arm.table import ResourceType
from arcbed_cloud.plane import Plane
from arcbed_cloud.services.entra import Directory


@dataclass(frozen=True)
class ProviderContext:
    """Passed to each provider's ``resource_types(context)``.

    `table` maps the lower-case type (``microsoft.hybridcompute/machines``) to its row and is filled while
    providers register, so read it in handlers, not at construction.
    """

    plane: Plane
    directory: Directory
    operations: Operations
    access: Access
    registrations: Registrations
    table: Mapping[str, ResourceType] = field(default_factory=dict)
