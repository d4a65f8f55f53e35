"""Tells machines that something has changed, as soon as it has: ``docs/wire.md``, section 13.2.

A push is a hint: nobody waits for it, and one that is lost is made good by the next poll.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine, Sequence
from datetime import UTC
from typing import Any, Final

import orjson
import structlog

from arcbed_cloud.clock.task import KeeperTask
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.hybridcompute import Machines
from arcbed_cloud.services.gns.channels import path_of
from arcbed_cloud.services.relay import Asked, Relay, RelayError
from arcbed_cloud.store.contract import Change, Document, Row

TTL_SECONDS: Final = 300
#: Real seconds for a machine to say that it has heard; time waits for it, so less than the clock's grace.
PATIENCE: Final = 10.0
#: Machines that may pull within one second.
AT_ONCE: Final = 55
_KINDS: Final = {"goals": "extensions", "pulls": "assignments"}
#: What is known of a machine that there is no row for; each table has one of the last two.
_NOTHING: Final[Document] = {"generation": 0, "pulled": 0, "lastPull": None}
_SPACE: Final = uuid.UUID("6f0d1c1e-6a53-5d56-9d0c-0c5b8d1f7a10")
_MACHINE: Final = "microsoft.hybridcompute/machines"

_log = structlog.get_logger(__name__)


class Pushes:
    """Follows the state and speaks on the channels of machines.

    Args:
        plane: state and clock; each push is a task of the clock from the moment of the change.
        relay: where machines listen.
        machines: by key.
    """

    def __init__(self, plane: Plane, relay: Relay, machines: Machines) -> None:
        self._plane = plane
        self._relay = relay
        self._machines = machines
        self._known: dict[tuple[str, str], Document] = {}
        self._vm_ids: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        plane.store.subscribe(self._changed)

    def start(self) -> None:
        """What is there now is no news."""
        for table in _KINDS:
            for row in self._plane.store.rows(table):
                self._known[table, row.key] = row.document
        for row in self._plane.store.rows("resources", kind=_MACHINE):
            self._vm_ids[row.key] = _vm_id(row)

    async def stop(self) -> None:
        """Leave unsaid what is unsaid."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _changed(self, changes: Sequence[Change]) -> None:
        news: dict[tuple[str, str], int] = {}
        for change in changes:
            if change.table in _KINDS:
                if generation := self._generation(change):
                    vm_id = self._owner(change)
                    if self._relay.listening(path_of(vm_id)):
                        news[vm_id, _KINDS[change.table]] = generation
            elif change.table == "resources":
                self._machine(change)
        machines = len({vm_id for vm_id, _ in news})
        spread = machines // AT_ONCE
        for (vm_id, kind), generation in news.items():
            self._say(vm_id, kind, generation, spread)

    def _generation(self, change: Change) -> int:
        """The number of a state that its machine does not have yet, or 0."""
        place = (change.table, change.key)
        if change.row is None:
            self._known.pop(place, None)
            return 0
        before, now = self._known.get(place, _NOTHING), change.row.document
        self._known[place] = now
        # A machine that has just asked knows what it was answered.
        asked = any(before.get(name) != now[name] for name in ("pulled", "lastPull") if name in now)
        return 0 if asked or now["generation"] <= before["generation"] else int(now["generation"])

    def _owner(self, change: Change) -> str:
        if change.table == "pulls":
            return change.key
        row = self._machines.get(change.key)
        return _vm_id(row) if row is not None else ""

    def _machine(self, change: Change) -> None:
        """A machine that is no more has no channel."""
        if change.row is not None:
            if change.row.kind == _MACHINE:
                self._vm_ids[change.key] = _vm_id(change.row)
        elif vm_id := self._vm_ids.pop(change.key, ""):
            self._spawn(self._relay.drop(path_of(vm_id)))

    def _say(self, vm_id: str, kind: str, generation: int, spread: int) -> None:
        now = self._plane.clock.now().astimezone(UTC).isoformat(timespec="milliseconds")
        document = {
            "id": str(uuid.uuid5(_SPACE, f"{vm_id}/{kind}/{generation}/{now}")),
            "kind": kind,
            "generation": generation,
            "spreadSeconds": spread,
            "issuedAt": now.replace("+00:00", "Z"),
            "ttlSeconds": TTL_SECONDS,
        }
        # From here on time waits, so that the machine hears of it at the instant of the change.
        task = self._plane.clock.task(f"fakecloud/gns/{kind}/{vm_id}")
        self._spawn(self._deliver(task, vm_id, document))

    async def _deliver(self, task: KeeperTask, vm_id: str, document: Document) -> None:
        path = path_of(vm_id)
        asked = Asked("POST", f"/{path}/notify", {"content-type": "application/json"}, orjson.dumps(document))
        async with task:
            try:
                answer = await self._relay.request(path, asked, patience=PATIENCE)
            except RelayError as error:
                _log.info("push_lost", vm_id=vm_id, kind=document["kind"], reason=str(error))
                return
        _log.debug("pushed", vm_id=vm_id, kind=document["kind"], status=answer.status)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _vm_id(row: Row) -> str:
    return str(row.document["properties"].get("vmId") or "").lower()
