"""What a resource provider is built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from arcbed_cloud.arm.operations import Operations
from arcbed_cloud.arm.table import ResourceType
from arcbed_cloud.plane import Plane
from arcbed_cloud.store.contract import Unit

if TYPE_CHECKING:
    from arcbed_cloud.arm.access import Access
    from arcbed_cloud.arm.registration import Registrations


class PrincipalLike(Protocol):
    """What ARM reads of a principal of the directory."""

    @property
    def object_id(self) -> str: ...  # noqa: D102

    @property
    def app_id(self) -> str: ...  # noqa: D102

    @property
    def tenant_id(self) -> str: ...  # noqa: D102

    @property
    def kind(self) -> str: ...  # noqa: D102

    @property
    def name(self) -> str: ...  # noqa: D102


class DirectoryLike(Protocol):
    """What ARM and its providers ask of the directory (``services.entra.directory.Directory``)."""

    @property
    def tenant_id(self) -> str:
        """The one tenant."""

    def principal(self, object_id: str) -> PrincipalLike | None:
        """The principal, or None."""

    def add_machine(self, unit: Unit, *, name: str, resource_id: str) -> PrincipalLike:
        """A system-assigned identity."""

    def remove(self, unit: Unit, object_id: str) -> None:
        """Delete a principal; an unknown one is fine."""


@dataclass(frozen=True)
class ProviderContext:
    """Passed to each provider's ``resource_types(context)``.

    `table` maps the lower-case type (``microsoft.hybridcompute/machines``) to its row and is filled while providers
    register, so read it in handlers, not at construction.
    """

    plane: Plane
    directory: Any
    operations: Operations
    access: Access
    registrations: Registrations
    table: Mapping[str, ResourceType] = field(default_factory=dict)
