"""When a machine has not been heard from: a timer for its silence, one for its newest certificate's end.

A timer is set once and looks at the facts when it fires: if they have moved it sets itself again. So a
heartbeat costs no timer, and the heap holds at most two entries for a machine, however often it is heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from arcbed_cloud.plane import Plane
from arcbed_cloud.store import Change, Row

if TYPE_CHECKING:
    from arcbed_cloud.providers.hybridcompute.machines import Machines

LIVING = frozenset({"Connected", "Error"})


def moment(epoch: float) -> datetime:
    """Epoch seconds of the bed's clock as an aware time."""
    return datetime.fromtimestamp(epoch, UTC)


class Liveness:
    """Keeps the timers of all machines in step with the tables ``heartbeats`` and ``identities``.

    Rows of ``heartbeats`` carry ``heard``, rows of ``identities`` ``notAfter``: epoch seconds of the bed's
    clock. Keys are vmIds in lower case.
    """

    def __init__(self, plane: Plane, machines: Machines) -> None:
        self._plane = plane
        self._machines = machines
        plane.store.subscribe(self._changed)
        for table in ("heartbeats", "identities"):
            self._changed([Change(table, row.key, row) for row in plane.store.rows(table)])

    def _changed(self, changes: Sequence[Change]) -> None:
        clock = self._plane.clock
        for change in changes:
            if change.table == "heartbeats":
                if change.row is None:
                    clock.cancel(_silence(change.key))
                elif clock.due(_silence(change.key)) is None:
                    self._watch_silence(change.key, change.row)
            elif change.table == "identities":
                if change.row is None:
                    clock.cancel(_expiry(change.key))
                elif clock.due(_expiry(change.key)) is None:
                    self._watch_expiry(change.key, change.row)

    def _watch_silence(self, vm_id: str, row: Row) -> None:
        due = moment(row.document["heard"]) + timedelta(
            seconds=self._plane.settings.disconnected_after_seconds
        )
        self._plane.clock.call_at(due, _silence(vm_id), lambda: self._silent(vm_id))

    def _watch_expiry(self, vm_id: str, row: Row) -> None:
        if (not_after := row.document.get("notAfter")) is not None:
            self._plane.clock.call_at(moment(not_after), _expiry(vm_id), lambda: self._expired(vm_id))

    async def _silent(self, vm_id: str) -> None:
        row = self._plane.store.get("heartbeats", vm_id)
        machine = self._machines.by_vm_id(vm_id)
        if row is None or machine is None:
            return
        limit = timedelta(seconds=self._plane.settings.disconnected_after_seconds)
        if moment(row.document["heard"]) + limit > self._plane.clock.now():
            self._watch_silence(vm_id, row)
        elif machine.document["properties"].get("status") in LIVING:
            async with self._plane.store.unit() as unit:
                self._machines.set_status(unit, machine, "Disconnected")

    async def _expired(self, vm_id: str) -> None:
        row = self._plane.store.get("identities", vm_id)
        machine = self._machines.by_vm_id(vm_id)
        if row is None or machine is None:
            return
        if moment(row.document["notAfter"]) > self._plane.clock.now():
            self._watch_expiry(vm_id, row)
            return
        async with self._plane.store.unit() as unit:
            self._machines.set_status(unit, machine, "Expired")


def _silence(vm_id: str) -> str:
    return f"{vm_id}/his/silence"


def _expiry(vm_id: str) -> str:
    return f"{vm_id}/his/expiry"
