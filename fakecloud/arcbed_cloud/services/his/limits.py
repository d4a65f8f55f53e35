"""Fairness: how often one machine may ask, on the bed's clock."""

from __future__ import annotations

import math
from collections import OrderedDict, deque

HEARTBEAT_SECONDS = 60
HEARTBEAT_BURST = 2
IDENTITIES_AN_HOUR = 6
HOUR = 3_600
_INSTANCES = 4


class HeartbeatRate:
    """One heartbeat in 60 s for each start of himds, with a burst of two: the generic cell rate algorithm."""

    def __init__(self) -> None:
        self._arrivals: dict[str, OrderedDict[str, float]] = {}

    def allows(self, vm_id: str, instance: str, now: float) -> bool:
        """Count one heartbeat, unless it comes too soon."""
        arrivals = self._arrivals.setdefault(vm_id, OrderedDict())
        due = max(arrivals.get(instance, now), now) + HEARTBEAT_SECONDS
        if due - now > HEARTBEAT_BURST * HEARTBEAT_SECONDS:
            return False
        arrivals[instance] = due
        arrivals.move_to_end(instance)
        while len(arrivals) > _INSTANCES:
            arrivals.popitem(last=False)
        return True

    def forget(self, vm_id: str) -> None:
        """The machine is gone or starts anew."""
        self._arrivals.pop(vm_id, None)


class IdentityRate:
    """Six certificates in an hour for each machine."""

    def __init__(self) -> None:
        self._asked: dict[str, deque[float]] = {}

    def wait(self, vm_id: str, now: float) -> int:
        """Count one request and answer 0, or the seconds until the next one is allowed."""
        asked = self._asked.setdefault(vm_id, deque())
        while asked and asked[0] <= now - HOUR:
            asked.popleft()
        if len(asked) >= IDENTITIES_AN_HOUR:
            return max(1, math.ceil(asked[0] + HOUR - now))
        asked.append(now)
        return 0

    def forget(self, vm_id: str) -> None:
        """The machine is gone or starts anew."""
        self._asked.pop(vm_id, None)
