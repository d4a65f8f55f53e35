"""Fairness: how often one machine may ask and write, on the bed's clock (``docs/wire.md``, section 16)."""

from __future__ import annotations

import math

from arcbed_cloud.plane import Plane
from arcbed_cloud.services.his.errors import too_many

# Clients wait at least this long after a 429.
SHORTEST = 5


class Rate:
    """One request in `seconds` for each machine, `burst` at once: the generic cell rate algorithm."""

    def __init__(self, plane: Plane, what: str, *, seconds: float, burst: int) -> None:
        self._plane = plane
        self._what = what
        self._seconds = seconds
        self._burst = burst
        self._due: dict[str, float] = {}

    def admit(self, vm_id: str) -> None:
        """Count one request.

        Raises:
            HisError: 429 TooManyRequests, with the seconds until the next one is taken.
        """
        if not self._plane.settings.request_limits:
            return
        now = self._plane.clock.now().timestamp()
        # A restored state may have taken the clock back.
        latest = min(self._due.get(vm_id, now), now + self._burst * self._seconds)
        due = max(latest, now) + self._seconds
        over = due - now - self._burst * self._seconds
        if over > 0:
            wait = max(SHORTEST, math.ceil(over))
            raise too_many(f"A machine's {self._what} are limited to one in {self._seconds:g} seconds.", wait)
        self._due[vm_id] = due
