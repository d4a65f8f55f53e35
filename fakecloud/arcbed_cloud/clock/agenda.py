"""What is due when: a heap of sleeping tasks and timers, ordered by (deadline, name)."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Protocol

Callback = Callable[[], Awaitable[None] | None]
_SWEEP_FROM = 1_000


class Wakeable(Protocol):
    """Something that a deadline wakes."""

    def set(self) -> None:
        """Wake it; it counts as running from now on."""


class Entry:
    """A sleeping task, or a timer with its callback. Names are ``machine/daemon/task``."""

    __slots__ = ("callback", "deadline", "gone", "name", "place", "wake")

    def __init__(self, deadline: datetime, name: str, order: int, wake: Wakeable | None) -> None:
        self.deadline = deadline
        self.name = name
        self.place = (deadline, name.split("/"), order)
        self.wake = wake
        self.callback: Callback | None = None
        self.gone = False

    def __lt__(self, other: Entry) -> bool:
        return self.place < other.place


class Agenda:
    """Entries by deadline; what is forgotten leaves the heap when it comes up, or in a sweep."""

    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._forgotten = 0
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Entry]:
        return iter(sorted(entry for entry in self._heap if not entry.gone))

    def push(self, deadline: datetime, name: str, wake: Wakeable | None = None) -> Entry:
        """Add an entry."""
        entry = Entry(deadline, name, next(self._order), wake)
        heapq.heappush(self._heap, entry)
        return entry

    def forget(self, entry: Entry) -> None:
        """Take an entry back; far-off ones are swept once they are half of the heap."""
        entry.gone = True
        self._forgotten += 1
        if self._forgotten > _SWEEP_FROM and self._forgotten > len(self._heap) // 2:
            self._heap = [kept for kept in self._heap if not kept.gone]
            heapq.heapify(self._heap)
            self._forgotten = 0

    def next(self) -> Entry | None:
        """The earliest entry, which stays."""
        while self._heap and self._heap[0].gone:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None

    def pop(self, until: datetime) -> Entry | None:
        """Take the earliest entry if it is due by `until`."""
        entry = self.next()
        if entry is None or entry.deadline > until:
            return None
        return heapq.heappop(self._heap)
