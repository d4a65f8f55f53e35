"""Heartbeats: what a machine says every five minutes, and what it is answered. ``docs/wire.md``, section 10.

Rows of table ``heartbeats``, keyed by the vmId in lower case: ``heard`` (epoch seconds of the bed's clock),
``voices`` (see `clones`), ``metadataHash``, ``tags`` (digest and generation of the tags last told), ``said``
(what is not ARM's: counters, generations, certificate) and ``repeat`` (the newest answer by
Repeatability-Request-ID).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import orjson

from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.hybridcompute.liveness import moment
from arcbed_cloud.providers.hybridcompute.machines import Machines
from arcbed_cloud.services.his import beats
from arcbed_cloud.services.his.beats import Beat
from arcbed_cloud.services.his.clones import OVER_AFTER, TURNS, Voices
from arcbed_cloud.services.his.errors import HisError, invalid_request, too_many
from arcbed_cloud.services.his.identities import REPEATS_FOR, Identities
from arcbed_cloud.services.his.limits import HEARTBEAT_SECONDS, HeartbeatRate
from arcbed_cloud.services.packages import PackageError, Shelf
from arcbed_cloud.store import Change, Row, Unit
from arcbed_cloud.store.contract import Document

CONFIG_GENERATION = 1


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """Ready bytes, and whether they had been answered to the same Repeatability-Request-ID before."""

    body: bytes
    repeated: bool = False


class Heartbeats:
    """Takes heartbeats; each is durable before it is answered, in one commit with those of other machines."""

    def __init__(self, plane: Plane, machines: Machines, identities: Identities, shelf: Shelf) -> None:
        self._plane = plane
        self._store = plane.store
        self._machines = machines
        self._identities = identities
        self._shelf = shelf
        self._rate = HeartbeatRate()
        plane.store.subscribe(self._changed)
        self._changed([Change("heartbeats", row.key, row) for row in plane.store.rows("heartbeats")])

    async def beat(
        self, machine: Row, body: bytes, *, instance: str = "", request_id: str = ""
    ) -> HeartbeatAnswer:
        """One heartbeat of an authenticated machine.

        Args:
            machine: whose.
            body: JSON of `Beat`.
            instance: the header ``x-arc-instance``, if it was sent.
            request_id: the header ``Repeatability-Request-ID``, if it was sent.

        Raises:
            HisError: InvalidRequest, TooManyRequests, DuplicateHeartbeat.
        """
        said = beats.read(body)
        if instance and instance.lower() != said.instance_id.lower():
            raise invalid_request("'instanceId' is not what the header x-arc-instance says.", "instanceId")
        report = said.report()
        now = self._plane.clock.now().timestamp()
        vm_id = machine.document["properties"]["vmId"].lower()
        row = self._store.get("heartbeats", vm_id)
        before = row.document if row is not None else {}
        if (repeated := _repeated(before, request_id, now)) is not None:
            return HeartbeatAnswer(repeated, repeated=True)
        if self._plane.settings.heartbeat_throttle:
            self._throttle(vm_id, said.instance_id, now)
        voices = Voices.read(before["voices"]) if before else Voices()
        known = voices.instance(said.instance_id)
        voices = voices.heard(said.instance_id, now)
        cloned = voices.cloned(now)
        if cloned and voices.is_younger(said.instance_id):
            await self._refuse_clone(machine, vm_id, before, voices)
        if known is not None and said.seq <= known.seq:
            return HeartbeatAnswer(self._answer(machine, before, said, accepted=False))
        document = self._document(machine, before, said, voices.accepted(said.instance_id, said.seq), now)
        answer = self._answer(machine, document, said, accepted=True)
        if request_id:
            document["repeat"] = {"id": request_id, "at": now, "answer": answer.decode()}
        async with self._store.unit() as unit:
            self._put(unit, machine, vm_id, document)
            self._machines.report(unit, machine, report)
            if not cloned:
                self._unclone(unit, vm_id, machine)
        return HeartbeatAnswer(answer)

    # -- clones --------------------------------------------------------------------------------------------

    async def _refuse_clone(self, machine: Row, vm_id: str, before: Document, voices: Voices) -> None:
        async with self._store.unit() as unit:
            self._put(unit, machine, vm_id, {**before, "voices": voices.write()})
            self._machines.set_status_reason(unit, machine, "Cloned")
        raise HisError(
            429,
            "DuplicateHeartbeat",
            "Another machine reports under the same vmId. "
            "Disconnect this clone, locally only, and connect it anew.",
            headers={"Retry-After": str(self._plane.settings.heartbeat_seconds)},
        )

    def _unclone(self, unit: Unit, vm_id: str, machine: Row) -> None:
        current = _pending(unit, machine)
        if current.document["properties"].get("statusReason") is not None:
            self._machines.set_status_reason(unit, current, None)
            self._plane.clock.cancel(_clone(vm_id))

    async def _clones_gone(self, vm_id: str) -> None:
        row = self._store.get("heartbeats", vm_id)
        machine = self._machines.by_vm_id(vm_id)
        if row is None or machine is None:
            return
        if Voices.read(row.document["voices"]).cloned(self._plane.clock.now().timestamp()):
            self._watch_clones(vm_id, row)
            return
        async with self._store.unit() as unit:
            self._machines.set_status_reason(unit, machine, None)

    def _watch_clones(self, vm_id: str, row: Row) -> None:
        due = moment(row.document["voices"]["turned"]) + timedelta(seconds=OVER_AFTER)
        self._plane.clock.call_at(due, _clone(vm_id), lambda: self._clones_gone(vm_id))

    def _changed(self, changes: Sequence[Change]) -> None:
        clock = self._plane.clock
        for change in changes:
            if change.table != "heartbeats":
                continue
            if change.row is None:
                self._rate.forget(change.key)
                clock.cancel(_clone(change.key))
                continue
            voices = change.row.document["voices"]
            if (
                voices["turns"] >= TURNS
                and clock.due(_clone(change.key)) is None
                and Voices.read(voices).cloned(clock.now().timestamp())
            ):
                self._watch_clones(change.key, change.row)

    # -- parts ---------------------------------------------------------------------------------------------

    def _throttle(self, vm_id: str, instance: str, now: float) -> None:
        if not self._rate.allows(vm_id, instance, now):
            raise too_many(
                f"One heartbeat in {HEARTBEAT_SECONDS} seconds is allowed for a machine.", HEARTBEAT_SECONDS
            )

    def _document(self, machine: Row, before: Document, said: Beat, voices: Voices, now: float) -> Document:
        digest = hashlib.sha1(  # noqa: S324 - tells two sets of tags apart, protects nothing
            orjson.dumps(machine.document["tags"], option=orjson.OPT_SORT_KEYS)
        ).hexdigest()
        tags = before.get("tags", {"digest": "", "generation": 0})
        if tags["digest"] != digest:
            tags = {"digest": digest, "generation": tags["generation"] + 1}
        return {
            "heard": now,
            "voices": voices.write(),
            "metadataHash": said.metadata_hash if said.metadata is not None else before.get("metadataHash"),
            "tags": tags,
            "said": {
                "instanceId": said.instance_id,
                "seq": said.seq,
                "sentAt": said.sent_at,
                "bootTime": said.boot_time,
                "uptimeSeconds": said.uptime_seconds,
                "generations": said.generations,
                "counters": said.counters,
                "thumbprint": said.identity.thumbprint if said.identity is not None else None,
            },
        }

    def _put(self, unit: Unit, machine: Row, vm_id: str, document: Document) -> None:
        unit.put("heartbeats", vm_id, document, scope=machine.key)

    def _answer(self, machine: Row, row: Document, said: Beat, *, accepted: bool) -> bytes:
        document = machine.document
        properties = document["properties"]
        return orjson.dumps(
            {
                "nextSeconds": self._plane.settings.heartbeat_seconds,
                "accepted": accepted,
                "sendMetadata": row.get("metadataHash") != said.metadata_hash,
                "machine": {
                    "resourceId": document["id"],
                    "name": document["name"],
                    "location": document["location"],
                    "tags": document["tags"],
                    "tagsGeneration": row["tags"]["generation"],
                    "privateLinkScopeResourceId": properties.get("privateLinkScopeResourceId"),
                },
                "generations": {
                    "assignments": self._assignments(properties["vmId"]),
                    "extensions": self._goal_state(machine),
                    "config": CONFIG_GENERATION,
                },
                "identity": {"action": self._identities.asked(properties["vmId"])},
                "agentUpgrade": self._upgrade(properties, said.agent_version),
            }
        )

    def _goal_state(self, machine: Row) -> int:
        row = self._store.get("goals", machine.key)
        return max(1, int(row.document["generation"])) if row is not None else 1

    def _assignments(self, vm_id: str) -> int:
        """The generation that a pull would be answered with; what the agent has may be older."""
        row = self._store.get("pulls", vm_id.lower())
        return int(row.document["generation"]) if row is not None else 0

    def _upgrade(self, properties: Document, current: str) -> Document | None:
        """The version that the machine is to go to: a person's wish, or the latest where that is on."""
        given = properties.get("agentUpgrade")
        if not given:
            return None
        automatic = bool(given.get("enableAutomaticUpgrade"))
        version, request = given.get("desiredVersion"), given.get("correlationId")
        if automatic and (latest := self._latest()) and _newer(latest, version or current):
            version, request = latest, None
        if not version:
            return None
        return {"desiredVersion": version, "correlationId": request, "enableAutomaticUpgrade": automatic}

    def _latest(self) -> str | None:
        try:
            return self._shelf.index().latest
        except PackageError:
            return None


def _newer(version: str, other: str) -> bool:
    return _numbers(version) > _numbers(other)


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version.split(".")]


def _repeated(row: Document, request_id: str, now: float) -> bytes | None:
    """Only the newest is remembered: a heartbeat before it is answered as not newer in any case."""
    kept = row.get("repeat")
    if not request_id or kept is None or kept["id"] != request_id or kept["at"] <= now - REPEATS_FOR:
        return None
    return str(kept["answer"]).encode()


def _pending(unit: Unit, machine: Row) -> Row:
    """The machine as this unit leaves it."""
    for change in reversed(unit.changes):
        if change.table == "resources" and change.key == machine.key and change.row is not None:
            return change.row
    return machine


def _clone(vm_id: str) -> str:
    return f"{vm_id}/his/clone"
