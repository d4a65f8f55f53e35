"""When policy evaluates. Nothing here decides anything; it only waits for the right instant.

Source: Microsoft's article "Get compliance data of Azure resources", evaluation triggers: a new or changed
assignment takes about 5 minutes, a created or changed resource about 15, a full cycle runs every 24 hours,
and a report of a machine counts at once. What is due follows from stored rows, so a restart loses nothing:
beside each assignment stands a mark of its last evaluation, beside each machine what was last seen of it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta

import orjson

from arcbed_cloud.arm import times
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.guestconfiguration import KIND as GUESTS
from arcbed_cloud.providers.policy.evaluation import MACHINES, Evaluator, Occasion
from arcbed_cloud.providers.policy.library import ASSIGNMENTS, DEFINITIONS, EXEMPTIONS, SETS, Library, covers
from arcbed_cloud.store.contract import Change, Document, Row, Unit

AFTER_ASSIGNMENT = timedelta(minutes=5)
AFTER_CHANGE = timedelta(minutes=15)
CYCLE = timedelta(hours=24)
_SEEN = "policyseen"
_MARKS = "policymarks"
_TOGETHER = 50
# What a client can change, and what decides whether a definition applies; a heartbeat's news is neither.
_TOP = ("tags", "kind", "location")
_FACTS = ("osType", "osName", "osSku", "osVersion", "osEdition", "cloudMetadata", "licenseProfile")


class Schedule:
    """Timers and tasks of policy on the bed's clock; `start` takes up what an earlier process left."""

    def __init__(self, plane: Plane, library: Library, evaluator: Evaluator) -> None:
        self._clock = plane.clock
        self._store = plane.store
        self._library = library
        self._evaluator = evaluator
        self._started = False
        self._reported: dict[str, set[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        plane.store.subscribe(self._changed)

    # -- life ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Set the timers that follow from the stored rows, and look at all guest assignments again."""
        self._started = True
        for assignment in self._library.assignments():
            self._watch_assignment(assignment)
        for machine in self._store.rows("resources", kind=MACHINES):
            self._watch_machine(machine, created=True)
        for exemption in self._store.rows("resources", kind=EXEMPTIONS):
            self._watch_exemption(exemption.key, exemption)
        for guest in self._store.rows("resources", kind=GUESTS):
            self._watch_guest(guest.key)

    async def stop(self) -> None:
        """Let running work go; it starts again with the next process."""
        self._started = False
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- evaluating ----------------------------------------------------------------------------------------

    async def scan(self, scope: str) -> None:
        """Evaluate everything at or below a scope (an ARM id) now, as a client's trigger does."""
        for assignment in list(self._library.assignments()):
            await self._evaluate(assignment, self._machines(assignment, scope), Occasion.SCAN)

    def _machines(self, assignment: Row, scope: str = "") -> list[Row]:
        below = scope.lower()
        return [
            machine
            for machine in self._store.rows("resources", kind=MACHINES)
            if (not below or machine.key == below or machine.key.startswith(f"{below}/"))
            and covers(assignment.document, machine.key)
        ]

    async def _evaluate(self, assignment: Row, machines: Sequence[Row], occasion: Occasion) -> None:
        for start in range(0, len(machines), _TOGETHER):
            async with self._store.unit() as unit:
                current = self._library.assignment(assignment.key)
                for machine in machines[start : start + _TOGETHER]:
                    now = self._store.get("resources", machine.key)
                    if current is not None and now is not None:
                        self._evaluator.evaluate(unit, now, current.document, occasion)
                        self._see(unit, now, occasion)

    def _see(self, unit: Unit, machine: Row, occasion: Occasion) -> None:
        """Remember what the machine is like, unless its change still waits for an evaluation of its own."""
        if occasion is not Occasion.CHANGE and self._clock.due(_machine_timer(machine.key)) is not None:
            return
        known = fingerprint(machine.document)
        if self._seen(machine.key) != known:
            unit.put(
                "resources", _seen_key(machine.key), {"fingerprint": known}, kind=_SEEN, scope=machine.key
            )

    def _seen(self, machine_key: str) -> str | None:
        row = self._store.get("resources", _seen_key(machine_key))
        return row.document["fingerprint"] if row is not None else None

    # -- what the store says -------------------------------------------------------------------------------

    def _changed(self, changes: Sequence[Change]) -> None:
        if not self._started:
            return
        for change in changes:
            if change.table == "resources":
                self._resource(change)

    def _resource(self, change: Change) -> None:
        kind = change.row.kind if change.row is not None else None
        if kind == MACHINES and change.row is not None:
            self._watch_machine(change.row)
        elif f"/providers/{GUESTS}/" in change.key:
            self._watch_guest(change.key)
        elif f"/providers/{EXEMPTIONS}/" in change.key:
            self._watch_exemption(change.key, change.row)
        elif kind == ASSIGNMENTS and change.row is not None:
            self._watch_assignment(change.row)
        elif kind == _MARKS or f"/{DEFINITIONS}/" in change.key or f"/{SETS}/" in change.key:
            for assignment in self._library.assignments():
                self._watch_assignment(assignment)
        elif kind is None:
            self._clock.cancel(_assignment_timer(change.key))
            self._clock.cancel(_machine_timer(change.key))

    # -- assignments ---------------------------------------------------------------------------------------

    def _watch_assignment(self, assignment: Row) -> None:
        mark = self._mark(assignment)
        stamp = self._stamp(assignment.document)
        if mark is None or mark["stamp"] != stamp:
            due = times.read(stamp) + AFTER_ASSIGNMENT
        else:
            due = times.read(mark["at"]) + CYCLE
        timer = _assignment_timer(assignment.key)
        if self._clock.due(timer) != due:
            self._clock.call_at(due, timer, lambda: self._assignment_due(assignment.key))

    async def _assignment_due(self, key: str) -> None:
        assignment = self._library.assignment(key)
        if assignment is None:
            return
        mark, stamp = self._mark(assignment), self._stamp(assignment.document)
        fresh = mark is None or mark["stamp"] != stamp
        occasion = Occasion.ASSIGNED if fresh else Occasion.SCAN
        await self._evaluate(assignment, self._machines(assignment), occasion)
        async with self._store.unit() as unit:
            if self._library.assignment(key) is not None:
                document = {"stamp": stamp, "at": times.iso7(self._clock.now())}
                unit.put("resources", mark_key(key), document, kind=_MARKS, scope=key)

    def _mark(self, assignment: Row) -> Document | None:
        row = self._store.get("resources", mark_key(assignment.key))
        return row.document if row is not None else None

    def _stamp(self, assignment: Document) -> str:
        """The newest change of the assignment, its definitions and its initiative."""
        initiative = self._library.initiative(assignment["properties"]["policyDefinitionId"])
        documents = [member.definition for member in self._library.members(assignment)]
        if initiative is not None:
            documents.append(initiative)
        return max(_changed_on(document) for document in [assignment, *documents])

    # -- machines ------------------------------------------------------------------------------------------

    def _watch_machine(self, machine: Row, *, created: bool = False) -> None:
        """A created or changed machine is evaluated once, 15 minutes after the first change.

        Args:
            machine: its row.
            created: at a start: a machine that was never seen counts only if it is younger than an
            assignment.
        """
        timer, key = _machine_timer(machine.key), machine.key
        if self._clock.due(timer) is not None or not self._library.assignments():
            return
        seen = self._seen(key)
        if seen == fingerprint(machine.document):
            return
        covering = self._library.covering(key)
        if not covering or (created and seen is None and not _younger(machine, covering)):
            return
        due = max(_modified(machine), self._clock.now()) if created else self._clock.now() + AFTER_CHANGE
        self._clock.call_at(due, timer, lambda: self._machine_due(key))

    async def _machine_due(self, key: str) -> None:
        machine = self._store.get("resources", key)
        if machine is not None:
            for assignment in self._library.covering(key):
                await self._evaluate(assignment, [machine], Occasion.CHANGE)

    # -- exemptions ----------------------------------------------------------------------------------------

    def _watch_exemption(self, key: str, row: Row | None) -> None:
        """What an exemption covers is looked at when it comes, goes, or expires."""
        scope, timer = key.rpartition(f"/providers/{EXEMPTIONS}/")[0], f"policy/exemption/{key}"
        until = row.document["properties"].get("expiresOn") if row is not None else None
        self._clock.cancel(timer)
        if until is not None and times.read(until) > self._clock.now():
            self._clock.call_at(times.read(until), timer, lambda: self.scan(scope))
        self._spawn(f"policy/exempted/{key}", lambda: self.scan(scope))

    # -- guest assignments ---------------------------------------------------------------------------------

    def _watch_guest(self, key: str) -> None:
        """A report or a PUT is looked at in a task that holds time from this instant on."""
        machine, _, name = key.rpartition(f"/providers/{GUESTS}/")
        if not self._library.assignments():
            return
        if machine in self._reported:
            self._reported[machine].add(name)
            return
        self._reported[machine] = {name}
        self._spawn(f"policy/report/{machine}", lambda: self._report(machine))

    def _spawn(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run work in a task that holds time from this instant on."""
        hold = self._clock.task(name)

        async def held() -> None:
            async with hold:
                await work()

        task = asyncio.get_running_loop().create_task(held())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _report(self, key: str) -> None:
        names = frozenset(self._reported.pop(key, ()))
        async with self._store.unit() as unit:
            machine = self._store.get("resources", key)
            if machine is not None:
                for assignment in self._library.covering(key):
                    self._evaluator.report(unit, machine, assignment.document, names)


def fingerprint(machine: Document) -> str:
    """What a machine is to policy: two that are equal need no new evaluation."""
    properties = machine.get("properties") or {}
    facts = [machine.get(name) for name in _TOP] + [properties.get(name) for name in _FACTS]
    return hashlib.sha256(orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _changed_on(document: Document) -> str:
    metadata = document["properties"].get("metadata") or {}
    return metadata.get("updatedOn") or metadata.get("createdOn") or ""


def _modified(machine: Row) -> datetime:
    """When the evaluation of a changed machine is due, by its newest change in ARM."""
    return times.read(machine.document["systemData"]["lastModifiedAt"]) + AFTER_CHANGE


def _younger(machine: Row, assignments: Iterable[Row]) -> bool:
    made = (machine.document.get("systemData") or {}).get("createdAt") or ""
    return any(made > _changed_on(assignment.document) for assignment in assignments)


def _assignment_timer(key: str) -> str:
    return f"policy/assignment/{key}"


def _machine_timer(key: str) -> str:
    return f"policy/machine/{key}"


def mark_key(assignment_key: str) -> str:
    """Where the mark of an assignment's last evaluation stands."""
    return f"{assignment_key}/policymark"


def _seen_key(machine_key: str) -> str:
    return f"{machine_key}/policyseen"
