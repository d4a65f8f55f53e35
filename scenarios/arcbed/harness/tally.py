"""Numbers that a story must find exactly, each with its reason, as a table of the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from arcbed.harness.bed import Bed
from arcbed.harness.checks import equal


def stamp(instant: datetime) -> str:
    """`instant` as the event log writes it."""
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass
class Tally:
    """Counts against what was expected.

    Args:
        bed: whose report gets the table.
    """

    bed: Bed
    _rows: list[tuple[str, str, str]] = field(default_factory=list)

    def row(self, what: str, counted: object, expected: object, why: str) -> None:
        """`counted` is `expected`, for the reason `why`.

        Raises:
            CheckError: it is not.
        """
        self._rows.append((what, str(counted), why))
        equal(what, counted, expected)

    def table(self, title: str) -> None:
        """Put what was counted so far on the record."""
        widths = [max(len(row[column]) for row in self._rows) for column in (0, 1)]
        lines = [f"{what:<{widths[0]}}  {count:>{widths[1]}}  {why}" for what, count, why in self._rows]
        self.bed.note(title, "\n".join(lines))
        self._rows.clear()

    async def events(self, since: datetime, until: datetime, **wanted: str) -> dict[str, Any]:
        """``count``, ``statuses``, ``first`` and ``last`` of the events from `since` to before `until`.

        Args:
            since: the bed's time.
            until: the bed's time.
            wanted: ``task``, ``method``, ``operation`` and ``route``, as the event log has them.
        """
        query = "&".join(
            f"{name}={text}"
            for name, text in {**wanted, "since": stamp(since), "until": stamp(until)}.items()
        )
        found: dict[str, Any] = await self.bed.cloud.admin.call("GET", f"events/count?{query}", limit=None)
        return found


def beats(length: timedelta, period: timedelta) -> int:
    """How often something with this period happens in `length`, the end included and the start not."""
    return length // period
