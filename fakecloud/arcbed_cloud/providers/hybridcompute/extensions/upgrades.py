"""Automatic upgrades: newer minor versions reach extensions with ``enableAutomaticUpgrade`` by themselves.

Microsoft's "Automatic extension upgrade for Azure Arc-enabled servers": Azure rolls a version out over weeks
and tries a failed upgrade again after an hour at the earliest. Here newer versions are looked for every hour
of the bed's time, on all machines that are connected.
"""

from __future__ import annotations

from datetime import timedelta

from arcbed_cloud.arm.activity import ActivityLog
from arcbed_cloud.arm.ids import parse
from arcbed_cloud.arm.validation import normalised
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.hybridcompute.extensions.machine_extensions import MachineExtensions
from arcbed_cloud.providers.hybridcompute.extensions.views import KIND
from arcbed_cloud.providers.hybridcompute.machines import Machines
from arcbed_cloud.providers.hybridcompute.manifest import MACHINE_TYPE
from arcbed_cloud.services.extensions import Gallery, versions
from arcbed_cloud.store.contract import Row

EVERY = timedelta(hours=1)
TIMER = "cloud/extensions/upgrades"
# The initiator that the activity log shows for these.
SERVICE = "Azure Regional Service Manager"
ACTION = f"{MACHINE_TYPE.type}/upgradeExtensions/action"


class AutomaticUpgrades:
    """Looks for newer versions and begins upgrades that no client waits for."""

    def __init__(
        self,
        plane: Plane,
        machines: Machines,
        extensions: MachineExtensions,
        gallery: Gallery,
        activity: ActivityLog,
    ) -> None:
        self._plane = plane
        self._machines = machines
        self._extensions = extensions
        self._gallery = gallery
        self._activity = activity

    def start(self) -> None:
        """Look again in an hour, and so on."""
        self._plane.clock.call_at(self._plane.clock.now() + EVERY, TIMER, self._hour)

    async def _hour(self) -> None:
        for row in self._plane.store.rows("resources", kind=KIND):
            if self._newer(row) is not None:
                await self._upgrade(row)
        self.start()

    async def _upgrade(self, row: Row) -> None:
        async with self._plane.store.unit() as unit:
            machine, version = self._machines.get(row.scope), self._newer(row)
            if machine is None or version is None:
                return
            properties = row.document["properties"]
            wanted: dict[str, str | None] = {f"{properties['publisher']}.{properties['type']}": version}
            self._extensions.upgrade(unit, machine, parse(machine.document["id"]), wanted, None)
            self._activity.by_service(
                unit, resource_id=machine.document["id"], action=ACTION, service=SERVICE
            )

    def _newer(self, row: Row) -> str | None:
        """The version that an extension is to be moved to, if there is one and nothing stands against it."""
        agent, properties = row.document["agent"], row.document["properties"]
        machine = self._machines.get(row.scope)
        if (
            machine is None
            or machine.document["properties"].get("status") != "Connected"
            or not properties["enableAutomaticUpgrade"]
            or agent["operation"] is not None
            or agent["goal"] is None
            or agent["goal"]["desiredState"] != "enabled"
        ):
            return None
        current = versions.numbers(properties["typeHandlerVersion"])
        region = normalised(machine.document["location"])
        known = [
            entry.version for entry in self._gallery.of(properties["publisher"], properties["type"], region)
        ]
        found = versions.newest(known, str(current[0]))
        return found if found is not None and versions.numbers(found) > current else None
