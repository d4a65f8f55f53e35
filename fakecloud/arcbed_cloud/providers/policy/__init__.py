"""Policy: definitions and assignments, their evaluation, states and remediations."""

from __future__ import annotations

from arcbed_cloud.arm.context import ProviderContext
from arcbed_cloud.arm.table import ResourceType
from arcbed_cloud.providers.guestconfiguration import GuestAssignments
from arcbed_cloud.providers.policy import manifest
from arcbed_cloud.providers.policy.assignments import PolicyAssignments
from arcbed_cloud.providers.policy.definitions import Definitions
from arcbed_cloud.providers.policy.evaluation import Evaluator
from arcbed_cloud.providers.policy.exemptions import Exemptions
from arcbed_cloud.providers.policy.insights import PolicyStates
from arcbed_cloud.providers.policy.library import Library
from arcbed_cloud.providers.policy.records import Records
from arcbed_cloud.providers.policy.remediating import Remediator
from arcbed_cloud.providers.policy.remediations import Remediations
from arcbed_cloud.providers.policy.schedule import Schedule
from arcbed_cloud.providers.policy.states import States


class Policy:
    """All of policy; `start` it in the running event loop, after the store is planted.

    Args:
        context: what ARM lends to providers.
        guests: makes and removes guest assignments.
    """

    def __init__(self, context: ProviderContext, guests: GuestAssignments) -> None:
        self._context = context
        store = context.plane.store
        self.library = Library(store)
        self.states = States(context.plane)
        self.evaluator = Evaluator(context, self.library, self.states, guests)
        self.schedule = Schedule(context.plane, self.library, self.evaluator)
        self.records = Records(store, self.library, self.states)
        self.remediator = Remediator(context, self.library, self.states, self.evaluator, self.schedule)

    def start(self) -> None:
        """Take up what an earlier process left."""
        self.schedule.start()
        self.remediator.start()

    async def stop(self) -> None:
        """Let go of what still runs."""
        self.remediator.stop()
        await self.schedule.stop()

    def resource_types(self) -> list[ResourceType]:
        """Rows of the table."""
        context, library = self._context, self.library
        return [
            manifest.definitions(Definitions(context, library, initiative=False)),
            manifest.initiatives(Definitions(context, library, initiative=True)),
            manifest.assignments(PolicyAssignments(context, library, self.evaluator)),
            manifest.exemptions(Exemptions(context, library)),
            *manifest.states(PolicyStates(context, self.records, self.schedule)),
            manifest.remediations(Remediations(context, library, self.evaluator, self.remediator)),
        ]


__all__ = ["Policy"]
