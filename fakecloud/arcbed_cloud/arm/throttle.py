"""ARM's request limits: token buckets per subscription and principal, counted down in headers.

The sizes are those that Azure's headers start from (1,100 reads, 800 writes, 800 deletes; all principals of a
subscription together fifteen times that), the refill rates those of Microsoft's article "Understand how Azure
Resource Manager throttles requests". Buckets fill in real time, because it is real clients that wait for
them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from arcbed_cloud.arm.errors import ArmError

GLOBAL_FACTOR = 15
_MAX_BUCKETS = 50_000


@dataclass(frozen=True, slots=True)
class Limit:
    """Tokens that a full bucket holds and that flow back in a second."""

    size: int
    per_second: float


LIMITS = {
    "reads": Limit(1_100, 25.0),
    "writes": Limit(800, 10.0),
    "deletes": Limit(800, 10.0),
}
KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}


class _Bucket:
    __slots__ = ("level", "limit", "seen")

    def __init__(self, limit: Limit, now: float) -> None:
        self.limit = limit
        self.level = float(limit.size)
        self.seen = now

    def take(self, now: float) -> int | None:
        """Take a token; whole tokens left, or None if there was none."""
        limit = self.limit
        level = self.level + (now - self.seen) * limit.per_second
        level = min(level, limit.size)
        self.seen = now
        if level < 1.0:
            self.level = level
            return None
        self.level = level - 1.0
        return int(self.level)

    def wait(self) -> int:
        """Whole seconds until there is a token."""
        return max(1, math.ceil((1.0 - self.level) / self.limit.per_second))


class Throttle:
    """The buckets of one bed; they live in memory only.

    Args:
        monotonic: real seconds.
        limits: sizes by kind, for tests.
        enforced: refuse when a bucket is empty; else only the headers count down, to 0.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        limits: dict[str, Limit] | None = None,
        *,
        enforced: bool = True,
    ) -> None:
        self._monotonic = monotonic
        self._enforced = enforced
        self._limits = LIMITS if limits is None else limits
        self._shared = {
            kind: Limit(limit.size * GLOBAL_FACTOR, limit.per_second * GLOBAL_FACTOR)
            for kind, limit in self._limits.items()
        }
        self._buckets: dict[tuple[str, str, str], _Bucket] = {}

    def count(self, subscription: str, object_id: str, method: str, path: str) -> list[tuple[bytes, bytes]]:
        """Take one request; the headers that say how many are left.

        Args:
            subscription: ``/subscriptions/{id}`` in lower case, empty for calls of the tenant.
            object_id: who calls.
            method: tells reads, writes and deletes apart.
            path: goes into the error.

        Raises:
            ArmError: 429 SubscriptionRequestsThrottled (or TenantRequestsThrottled) with ``Retry-After``.
        """
        kind = KINDS.get(method, "writes")
        limit = self._limits[kind]
        now = self._monotonic()
        own = self._bucket((subscription, object_id, kind), limit, now)
        left = own.take(now)
        if left is None and not self._enforced:
            left = 0
        if left is None:
            raise _throttled(subscription, method, path, own.wait())
        if not subscription:
            return [(f"x-ms-ratelimit-remaining-tenant-{kind}".encode(), b"%d" % left)]
        bucket = self._bucket((subscription, "", kind), self._shared[kind], now)
        together = bucket.take(now)
        if together is None and not self._enforced:
            together = 0
        if together is None:
            raise _throttled(subscription, method, path, bucket.wait())
        return [
            (_HEADERS[kind], b"%d" % left),
            (_GLOBAL_HEADERS[kind], b"%d" % together),
        ]

    def _bucket(self, key: tuple[str, str, str], limit: Limit, now: float) -> _Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            if len(self._buckets) >= _MAX_BUCKETS:
                self._buckets.clear()
            bucket = self._buckets[key] = _Bucket(limit, now)
        return bucket


_HEADERS = {kind: f"x-ms-ratelimit-remaining-subscription-{kind}".encode() for kind in LIMITS}
_GLOBAL_HEADERS = {kind: f"x-ms-ratelimit-remaining-subscription-global-{kind}".encode() for kind in LIMITS}


def _throttled(subscription: str, method: str, path: str, seconds: int) -> ArmError:
    what = f"subscription '{subscription.rpartition('/')[2]}'" if subscription else "tenant"
    return ArmError(
        429,
        "SubscriptionRequestsThrottled" if subscription else "TenantRequestsThrottled",
        f"Number of requests for {what} and operation '{method}/{path.strip('/').upper()}' exceeded the "
        "backend "
        f"storage limit. Please try again after '{seconds}' seconds.",
        headers={"Retry-After": str(seconds)},
    )
