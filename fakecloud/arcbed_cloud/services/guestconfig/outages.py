"""When this service itself was not there: such time does not count as a machine's silence.

The row ``guestconfiguration/outages`` of the table ``meta``: ``alive`` (the last instant that is known to
have been served) and ``outages`` (pairs of begin and end), all in epoch seconds of the bed's clock. A process
that is killed leaves the instant of its last full hour or of the last pull, whichever is later.
"""

from __future__ import annotations

from datetime import timedelta

from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.guestconfiguration.contacts import TABLE as PULLS
from arcbed_cloud.store.contract import Document

KEY = "guestconfiguration/outages"
TIMER = "cloud/gas/alive"
ALIVE_EVERY = timedelta(hours=1)


class Outages:
    """Keeps that row."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._store = plane.store
        self.since = plane.clock.now().timestamp()

    async def begin(self) -> None:
        """The service is there from now on: what lies between the last sign of life and now was an outage."""
        self.since = now = self._plane.clock.now().timestamp()
        row = self._store.get("meta", KEY)
        if row is not None:
            last = max([row.document["alive"], *self._pulls()])
            horizon = now - self._plane.settings.retention_seconds
            kept = [pair for pair in row.document["outages"] if pair[1] > horizon]
            await self._write({"alive": now, "outages": [*kept, [last, now]] if last < now else kept})
        else:
            await self._write({"alive": now, "outages": []})
        self._watch()

    async def end(self) -> None:
        """The service is there until now."""
        await self._alive()

    def between(self, begin: float, end: float) -> float:
        """Seconds of outage in a span of time."""
        row = self._store.get("meta", KEY)
        pairs: list[list[float]] = row.document["outages"] if row is not None else []
        return sum(max(0.0, min(end, last) - max(begin, first)) for first, last in pairs)

    def _pulls(self) -> list[float]:
        found = (row.document["lastPull"] for row in self._store.rows(PULLS))
        return [instant for instant in found if instant is not None]

    def _watch(self) -> None:
        self._plane.clock.call_at(self._plane.clock.now() + ALIVE_EVERY, TIMER, self._hour)

    async def _hour(self) -> None:
        await self._alive()
        self._watch()

    async def _alive(self) -> None:
        row = self._store.get("meta", KEY)
        outages = row.document["outages"] if row is not None else []
        await self._write({"alive": self._plane.clock.now().timestamp(), "outages": outages})

    async def _write(self, document: Document) -> None:
        async with self._store.unit() as unit:
            unit.put("meta", KEY, document, kind="outages")
