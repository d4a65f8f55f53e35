"""How long to wait after a failure: ``docs/wire.md``, "Retry"."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import Final

from arcbed_agent.cloud.transport import CloudError, UnreachableError


@dataclass(frozen=True)
class BackOff:
    """Full jitter: a random time up to ``base * 2^n`` seconds, never more than `cap`."""

    base: float
    cap: float

    def delay(self, failures: int, chance: random.Random, at_least: float | None = None) -> float:
        """Seconds to wait after `failures` failures in a row, 0 for the first.

        `at_least` is the server's word.
        """
        longest = min(self.cap, self.base * 2.0 ** min(failures, 30))
        return max(chance.random() * longest, at_least or 0.0)


CONNECT: Final = BackOff(1.0, 15.0)
HEARTBEAT: Final = BackOff(5.0, 300.0)
GONE: Final = BackOff(60.0, 3_600.0)

#: Failures in a row after which only the period timer tries a host.
CIRCUIT: Final = 3


class Circuits:
    """Which hosts have failed so often that only period timers try them."""

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()

    def failed(self, host: str) -> int:
        """Count a failure; answers how many it has been in a row."""
        self._failures[host] += 1
        return self._failures[host]

    def succeeded(self) -> None:
        """Everything on the way was reached."""
        self._failures.clear()

    def is_open(self, host: str) -> bool:
        """Whether to leave `host` to the period timer."""
        return self._failures[host] >= CIRCUIT


def transient(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, UnreachableError):
        return True
    return isinstance(error, CloudError) and (error.status in {408, 429} or error.status >= 500)


def asked_wait(error: BaseException) -> float | None:
    """Seconds that the server asked for: `Retry-After`, and five at least with 429."""
    if not isinstance(error, CloudError):
        return None
    if error.status == 429:
        return max(5.0, error.retry_after or 0.0)
    return error.retry_after


def machine_is_gone(error: BaseException) -> bool:
    """Whether Azure says that this machine no longer exists, by the identity service or by Entra."""
    if not isinstance(error, CloudError):
        return False
    codes = error.document.get("error_codes")
    deleted = error.status == 404 and error.code == "MachineNotFound"
    return deleted or (isinstance(codes, list) and 700016 in codes)


def identity_is_over(error: BaseException) -> bool:
    """Whether only `disconnect` and `connect` will help: the certificate has run out."""
    return isinstance(error, CloudError) and error.status == 403 and error.code == "IdentityExpired"
