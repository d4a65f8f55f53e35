"""The bed as a whole: planting, reset, snapshots, time. Knows no HTTP."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from arcbed_cloud import seed
from arcbed_cloud.clock import Channel
from arcbed_cloud.estate import Estate
from arcbed_cloud.events.log import EventLog
from arcbed_cloud.plane import Plane
from arcbed_cloud.services.entra import Directory
from arcbed_cloud.store import Row, SnapshotError

CLOCK_KEY = "clock"
ROSTER_KEY = "clock/processes"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRET = re.compile(r"secret|password|digest|salt|token|protectedsettings|privatekey", re.IGNORECASE)
MASK = "********"


class Bed:
    """What can be done to a whole control plane.

    `ready` is set once the estate is planted and calls can be answered.
    """

    def __init__(self, plane: Plane, directory: Directory, estate: Estate, *, boot: int) -> None:
        self.plane = plane
        self.directory = directory
        self.estate = estate
        self.ready = False
        self.channel: Channel | None = None
        self.events: EventLog | None = None
        self.repeatable = plane.clock.mode == "stepped"
        self._boot = boot
        self._folder = plane.settings.state / "snapshots"

    # -- birth and rebirth ---------------------------------------------------------------------------------

    async def plant(self) -> bool:
        """Put tenant, subscription and first principals into an empty state; False if they are there."""
        return await seed.plant(self.plane, self.directory, self.estate, boot=self._boot)

    async def reset(self) -> None:
        """Back to the state of a first start. Ids and secrets of ``secrets.json`` and the bed's time stay."""
        self.plane.store.reset()
        await self.plant()
        await self.keep_time()
        if self.channel is not None:
            await self.keep_roster(self.channel.roster())

    # -- snapshots -----------------------------------------------------------------------------------------

    async def snapshot(self, name: str) -> dict[str, Any]:
        """Write a consistent copy of the state under a name; an earlier one of that name is replaced.

        Raises:
            SnapshotError: the name is unusable.
        """
        file = self._file(name)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        await self.keep_time()
        draft = file.with_suffix(".new")
        draft.unlink(missing_ok=True)
        self.plane.store.snapshot(draft)
        draft.chmod(0o600)
        draft.replace(file)
        return _described(file)

    async def restore(self, name: str) -> None:
        """Replace the state by a snapshot, and the bed's time by the time that the snapshot was taken at.

        Raises:
            SnapshotError: there is none of that name.
        """
        file = self._file(name)
        if not file.is_file():
            raise SnapshotError(f"There is no snapshot '{name}'.")
        self.plane.store.restore(file)
        kept = self.plane.store.get("meta", CLOCK_KEY)
        if kept is not None:
            self.plane.clock.move_to(datetime.fromisoformat(kept.document["now"]))
        await self.plant()

    def snapshots(self) -> list[dict[str, Any]]:
        """Names and sizes, by name."""
        return [_described(file) for file in sorted(self._folder.glob("*.db"))]

    def forget_snapshot(self, name: str) -> None:
        """Delete a snapshot; a missing one is fine."""
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise SnapshotError(
                f"'{name}' is no name for a snapshot: letters, digits, '.', '_' and '-', at most 64."
            )
        return self._folder / f"{name}.db"

    # -- time ----------------------------------------------------------------------------------------------

    def time(self) -> dict[str, Any]:
        """The bed's time beside the real one, and what holds time now."""
        clock = self.plane.clock
        return {
            "now": clock.now().isoformat(timespec="microseconds"),
            "wall": datetime.fromtimestamp(clock.wall(), UTC).isoformat(timespec="milliseconds"),
            "mode": clock.mode,
            "running": clock.running,
            "waiting": [
                {"task": name, "until": until.isoformat(timespec="milliseconds") if until else None}
                for name, until in clock.waiting
            ],
            "processes": self.channel.processes if self.channel else [],
            "missing": self.channel.missing if self.channel else [],
            "repeatable": self.repeatable,
        }

    async def advance(self, delta: timedelta) -> dict[str, Any]:
        """Move the bed and keep where it got to; returns when all is settled.

        Raises:
            ClockStalledError: a task holds time; the message names it.
        """
        try:
            await self.plane.clock.advance(delta)
        finally:
            await self.keep_time()
        return self.time()

    async def settle(self) -> dict[str, Any]:
        """Return when every task sleeps.

        Raises:
            ClockStalledError: a task holds time; the message names it.
        """
        await self.plane.clock.settled()
        return self.time()

    async def step(self, limit: datetime, *, repeatable: bool = True) -> dict[str, Any]:
        """Go on to the next deadline up to `limit`; `moved` says whether there was one.

        Args:
            limit: how far to go.
            repeatable: False where real time said when to step.

        Raises:
            ClockStalledError: a task holds time; the message names it.
        """
        moved = await self.plane.clock.step(limit)
        if moved and not repeatable:
            self._spoil("real time chose when the clock went on")
        return self.time() | {"moved": moved}

    async def freeze(self) -> dict[str, Any]:
        """Let time stand still."""
        await self.plane.clock.freeze()
        await self.keep_time()
        return self.time()

    async def resume(self) -> dict[str, Any]:
        """Let time flow, also without those that have not come back after a restart."""
        if self.channel is not None:
            self.channel.forget_missing()
        self._spoil("time flowed with the wall clock")
        await self.plane.clock.resume()
        await self.keep_time()
        return self.time()

    def let_pass(self, tasks: list[str]) -> dict[str, Any]:
        """Let time pass while these tasks run, and no others; an empty list ends it."""
        self.plane.clock.let_pass(*tasks)
        if tasks:
            self._spoil(f"time passed while {', '.join(tasks)} ran")
        return self.time()

    async def count_events(self, wanted: dict[str, str], since: str, until: str) -> dict[str, Any]:
        """What `EventLog.count` says; nothing where there is no event log."""
        if self.events is None:
            return {"count": 0, "statuses": {}, "first": None, "last": None}
        return await asyncio.to_thread(self.events.count, wanted, since, until)

    def _spoil(self, why: str) -> None:
        self.repeatable = False
        if self.events is not None:
            self.events.not_repeatable(why)

    async def keep_roster(self, roster: dict[str, Any]) -> None:
        """Write down which processes hang on the clock, for the next process to wait for."""
        async with self.plane.store.unit() as unit:
            unit.put("meta", ROSTER_KEY, roster, kind=ROSTER_KEY)

    async def keep_time(self) -> None:
        """Write the bed's instant down, for the next process to go on from."""
        clock = self.plane.clock
        wall = datetime.fromtimestamp(clock.wall(), UTC)
        async with self.plane.store.unit() as unit:
            unit.put(
                "meta", CLOCK_KEY, {"now": clock.now().isoformat(), "wall": wall.isoformat()}, kind=CLOCK_KEY
            )

    # -- looking -------------------------------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """Rows of each table; journals are counted up to a thousand."""
        return {table: len(self._rows(table, limit=1000)) for table in self.plane.store.tables}

    def resources(self) -> dict[str, int]:
        """How many resources of each type there are in ARM, by the type's name."""
        types = (row.document.get("type") for row in self.plane.store.rows("resources"))
        return dict(sorted(Counter(kind for kind in types if kind).items()))

    def rows(self, table: str, *, kind: str | None, scope: str | None, limit: int) -> list[dict[str, Any]]:
        """Rows with everything secret masked.

        Raises:
            KeyError: there is no such table.
        """
        if table not in set(self.plane.store.tables):
            raise KeyError(table)
        found = [
            row
            for row in self._rows(table, limit=limit)
            if (kind is None or row.kind.lower() == kind.lower())
            and (scope is None or row.scope == scope.lower())
        ]
        return [
            {"key": row.key, "kind": row.kind, "scope": row.scope, "document": masked(row.document)}
            for row in found[:limit]
        ]

    def _rows(self, table: str, *, limit: int) -> list[Row]:
        if table in {"activity", "his_log"}:
            return self.plane.store.tail(table, limit=limit)
        return list(self.plane.store.rows(table))


def masked(value: Any) -> Any:
    """A copy with the text of every member that sounds secret replaced."""
    if isinstance(value, dict):
        return {
            name: _hidden(entry) if _SECRET.search(name) else masked(entry) for name, entry in value.items()
        }
    if isinstance(value, list):
        return [masked(entry) for entry in value]
    return value


def _hidden(value: Any) -> Any:
    if isinstance(value, list):
        return [masked(entry) for entry in value]
    return masked(value) if isinstance(value, dict) else MASK


def _described(file: Path) -> dict[str, Any]:
    return {"name": file.stem, "bytes": file.stat().st_size}
