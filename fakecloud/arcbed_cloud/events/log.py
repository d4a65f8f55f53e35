"""The file of the event log: one JSON object a line, in the order of the answers.

Programs read several things side by side, so reads of one instant that follow each other are put in the order
of what they say. They wait for what comes next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from arcbed_cloud.clock import Keeper

#: How much of a line says when.
_STAMP = len('{"at":"2026-03-01T00:00:00.000000Z"')


class EventLog:
    """Appends events; a write is in the file before it is answered.

    Args:
        file: appended to, mode 0600.
        clock: of the bed.
    """

    def __init__(self, file: Path, clock: Keeper) -> None:
        self._clock = clock
        self._file = file
        self._stream: BinaryIO = file.open("ab", buffering=0)
        file.chmod(0o600)
        self._repeatable = True
        self._reads: list[bytes] = []
        clock.listen(self.flush)

    def read(self, **members: Any) -> None:
        """A read by a program on the bed's clock."""
        line = self._line(members)
        if self._reads and self._reads[0][:_STAMP] != line[:_STAMP]:
            self.flush()
        self._reads.append(line)

    def write(self, **members: Any) -> None:
        """A write, by whatever program."""
        self._append(members)

    def count(self, wanted: Mapping[str, str], since: str, until: str) -> dict[str, Any]:
        """How many lines have the members of `wanted`, from `since` to before `until` (times as in the log).

        Returns:
            ``count``, ``statuses`` (how many of each), and ``first`` and ``last``: when.
        """
        self.flush()
        found = [
            line
            for line in map(orjson.loads, self._file.read_bytes().splitlines())
            if since <= line["at"] < until and all(line.get(name) == text for name, text in wanted.items())
        ]
        return {
            "count": len(found),
            "statuses": dict(Counter(str(line.get("status")) for line in found)),
            "first": found[0]["at"] if found else None,
            "last": found[-1]["at"] if found else None,
        }

    def flush(self) -> None:
        """Put reads that wait into the file."""
        if self._reads and not self._stream.closed:
            self._stream.write(b"".join(sorted(self._reads)))
            self._reads.clear()

    def not_repeatable(self, why: str) -> None:
        """From here on another run may differ; the first reason is the one that counts."""
        if self._repeatable:
            self._repeatable = False
            self._append({"note": f"not repeatable: {why}"})

    def close(self) -> None:
        """Close the file."""
        self.flush()
        self._stream.close()

    def _append(self, members: dict[str, Any]) -> None:
        line = self._line(members)
        self.flush()
        self._stream.write(line)

    def _line(self, members: dict[str, Any]) -> bytes:
        at = self._clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        return orjson.dumps({"at": at, **members}) + b"\n"
