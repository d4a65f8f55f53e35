"""What a machine is answered when it asks for its assignments: ``docs/wire.md``, sections 11.1 and 11.3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import orjson

from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.guestconfiguration import GuestAssignments
from arcbed_cloud.services.guestconfig.addresses import Address
from arcbed_cloud.services.guestconfig.retention import Retention
from arcbed_cloud.services.his.errors import HisError
from arcbed_cloud.services.his.regions import CONTRACT
from arcbed_cloud.store.contract import Document, Row, Unit

# Bytes; longer answers come in pages.
PAGE = 102_400


@dataclass(frozen=True, slots=True)
class PullAnswer:
    """Ready bytes, None for what the machine has already, and the entity tag."""

    body: bytes | None
    etag: str
    next_seconds: int


@dataclass(frozen=True, slots=True)
class Continued:
    """Where a page begins: behind the name `after`, in a state of this `generation`."""

    generation: int
    after: str


@dataclass(frozen=True, slots=True)
class _State:
    """What a machine is to have: rows by name, and the names that it has lost."""

    generation: int
    rows: Sequence[Row]
    dropped: Sequence[str]

    @property
    def etag(self) -> str:
        return f'"assignments.{self.generation}"'


class Pulls:
    """Answers pulls; each is on disk as the machine's newest contact before it is answered."""

    def __init__(self, plane: Plane, assignments: GuestAssignments, retention: Retention) -> None:
        self._plane = plane
        self._assignments = assignments
        self._retention = retention

    async def pull(
        self, machine: Row, *, known_tags: Sequence[str], address: Address, continued: Continued | None = None
    ) -> PullAnswer:
        """One pull of an authenticated machine.

        Args:
            machine: whose.
            known_tags: of the header ``If-None-Match``.
            address: how the service was reached.
            continued: which page, of an answer that had several.

        Raises:
            HisError: 412 PreconditionFailed if the state has changed between two pages.
        """
        async with self._plane.store.unit() as unit:
            state = self._contact(unit, machine)
        pace = self._plane.settings.pull_seconds
        if continued is None and (state.etag in known_tags or "*" in known_tags):
            return PullAnswer(None, state.etag, pace)
        if continued is not None and continued.generation != state.generation:
            raise HisError(412, "PreconditionFailed", "The assignments have changed since the first page.")
        return PullAnswer(self._body(machine, state, address, continued), state.etag, pace)

    def _contact(self, unit: Unit, machine: Row) -> _State:
        """Note that the machine was here and what it is given, less what it was away from for too long."""
        contacts = self._assignments.contacts
        now = self._plane.clock.now().timestamp()
        known = contacts.of(machine)
        lost = self._retention.lose(unit, machine, known) if self._retention.over(known, now) else frozenset()
        known = contacts.of(machine, unit)
        rows = self._assignments.on(machine.key)
        kept = [row for row in rows if row.document["agent"]["dropped"] is None and row.key not in lost]
        known["generation"] = max(1, known["generation"])
        known["lastPull"] = now
        known["issued"] = {
            row.document["name"].lower(): row.document["agent"]["itemGeneration"] for row in kept
        }
        contacts.keep(unit, machine, known)
        names = {row.document["name"] for row in kept}
        dropped = {row.document["name"] for row in rows} - names
        dropped |= {stone["name"] for stone in known["buried"].values()}
        return _State(known["generation"], kept, sorted(dropped))

    def _body(self, machine: Row, state: _State, address: Address, continued: Continued | None) -> bytes:
        settings = self._plane.settings
        rows = [row for row in state.rows if continued is None or _name(row) > continued.after.lower()]
        bodies = [orjson.dumps(_item(row, address)) for row in rows]
        taken = fitting(bodies)
        document: Document = {
            "generation": state.generation,
            "nextSeconds": settings.pull_seconds,
            "retentionSeconds": settings.retention_seconds,
            "reapplyAfterSeconds": settings.reapply_after_seconds,
            "value": [orjson.Fragment(body) for body in bodies[:taken]],
            "dropped": state.dropped,
        }
        if taken < len(bodies):
            document["nextLink"] = _link(address, machine, state.generation, _name(rows[taken - 1]))
        return orjson.dumps(document)


def _name(row: Row) -> str:
    return str(row.document["name"]).lower()


def fitting(bodies: Sequence[bytes]) -> int:
    """How many fit on a page; one always does."""
    size = 0
    for index, body in enumerate(bodies):
        size += len(body) + 1
        if size > PAGE and index:
            return index
    return len(bodies)


def _link(address: Address, machine: Row, generation: int, after: str) -> str:
    vm_id = machine.document["properties"]["vmId"]
    query = f"api-version={CONTRACT}&generation={generation}&after={quote(after, safe='')}"
    return f"{address.base}/virtualMachines/{vm_id}/assignments?{query}"


def _item(row: Row, address: Address) -> Document:
    properties, agent = row.document["properties"], row.document["agent"]
    configuration = dict(properties["guestConfiguration"])
    configuration["version"] = agent.get("resolvedVersion") or configuration["version"]
    if configuration["contentUri"] is not None:
        configuration["contentUri"] = address.content(configuration["contentUri"])
    # The machine itself is told what nobody else is.
    configuration["configurationProtectedParameter"] = agent["protectedSettings"]
    return {
        "name": row.document["name"],
        "itemGeneration": agent["itemGeneration"],
        "assignmentHash": properties["assignmentHash"],
        "parameterHash": properties["parameterHash"],
        "context": properties["context"],
        "guestConfiguration": configuration,
    }
