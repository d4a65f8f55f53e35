"""Extensions of machines in ARM, and what the machines are told of them."""

from __future__ import annotations

from arcbed_cloud.arm.activity import ActivityLog
from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.table import ResourceType, Verb
from arcbed_cloud.providers.hybridcompute.extensions.goals import Goals
from arcbed_cloud.providers.hybridcompute.extensions.handlers import (
    ExtensionHandlers,
    extension_type,
    machine_actions,
)
from arcbed_cloud.providers.hybridcompute.extensions.items import Items
from arcbed_cloud.providers.hybridcompute.extensions.machine_extensions import MachineExtensions
from arcbed_cloud.providers.hybridcompute.extensions.metadata import MetadataHandlers, metadata_types
from arcbed_cloud.providers.hybridcompute.extensions.run_command_handlers import (
    RunCommandHandlers,
    run_command_type,
)
from arcbed_cloud.providers.hybridcompute.extensions.run_commands import RunCommands, RunCommandView
from arcbed_cloud.providers.hybridcompute.extensions.upgrades import AutomaticUpgrades
from arcbed_cloud.providers.hybridcompute.extensions.views import ExtensionView
from arcbed_cloud.providers.hybridcompute.machines import Machines
from arcbed_cloud.services.extensions import Gallery
from arcbed_cloud.store.contract import Row, Unit


class Extensions:
    """All of it, for one bed: ARM's rows, and `items` for the service that agents call."""

    def __init__(
        self, context: ProviderContext, machines: Machines, gallery: Gallery, activity: ActivityLog
    ) -> None:
        plane = context.plane
        self.gallery = gallery
        self.goals = Goals(plane.store)
        self.items = Items(plane, context.operations, self.goals, (ExtensionView(), RunCommandView()))
        self.extensions = MachineExtensions(plane, self.items, gallery)
        self.run_commands = RunCommands(plane, self.items, gallery)
        self.upgrades = AutomaticUpgrades(plane, machines, self.extensions, gallery, activity)
        self._on = ExtensionHandlers(context, machines, self.items, self.extensions)
        self._on_run_commands = RunCommandHandlers(context, machines, self.items, self.run_commands)
        self._metadata = MetadataHandlers(context, gallery)
        machines.farewells.append(self._forget)

    def resource_types(self) -> list[ResourceType]:
        """Rows of the table."""
        return [
            extension_type(self._on, self.items),
            run_command_type(self._on_run_commands, self.items),
            *metadata_types(self._metadata),
        ]

    def machine_actions(self) -> tuple[Verb, ...]:
        """Verbs of the row of machines."""
        return machine_actions(self._on)

    def _forget(self, unit: Unit, row: Row) -> None:
        if row.kind in {ExtensionView.kind, RunCommandView.kind}:
            self.items.forget(unit, row)


__all__ = ["Extensions", "Goals", "Items", "MachineExtensions"]
