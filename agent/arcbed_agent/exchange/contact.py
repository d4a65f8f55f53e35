"""What the loops of one daemon that speak to the service have in common."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.himds.backoff import Circuits


class Reach(Protocol):
    """The service, as far as the loops look at it.

    Attributes:
        cut_off: so many attempts have failed in a row that only the period timer makes new ones.
    """

    cut_off: bool


@dataclass(frozen=True)
class Contact:
    """One daemon's contact with the service: ``docs/wire.md`` section 15.3.

    Attributes:
        service: is cut off when a circuit opens, and by itself no more when it is reached.
        active: whether the daemon may speak to the service at all.
        circuits: which hosts have failed too often.
    """

    clock: Clock
    chance: random.Random
    service: Reach
    active: Callable[[], bool]
    circuits: Circuits = field(default_factory=Circuits)

    def failed(self, error: Exception) -> int:
        """Count a failure of the host that `error` names; answers how many it has been in a row."""
        host = error.host if isinstance(error, CloudError | UnreachableError) else ""
        failures = self.circuits.failed(host)
        if self.circuits.is_open(host):
            self.service.cut_off = True
        return failures

    def reached(self) -> None:
        """Everything on the way was reached."""
        self.circuits.succeeded()
