"""Clones: two starts of himds that speak in turns for one machine.

Keys do not tell clones apart, since fleets for tests may share them; what tells is that two instances, each
heard within ten minutes, take turns at least three times. Then the one that was heard first keeps the
machine, and the other is refused until there were no turns for fifteen minutes. A restart of himds is one
turn and never comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

HEARD_WITHIN = 600
TURNS = 3
OVER_AFTER = 900
_KEPT = 4


@dataclass(frozen=True, slots=True)
class Instance:
    """One start of himds: when it was first and last heard (epoch seconds), and its newest accepted `seq`."""

    id: str
    first: float
    last: float
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Voices:
    """The instances that spoke for one machine, newest last, and the turns between the last two."""

    instances: tuple[Instance, ...] = ()
    pair: tuple[str, ...] = ()
    turns: int = 0
    turned: float = 0.0

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Voices:
        """From the ``voices`` of a heartbeat row."""
        return cls(
            tuple(Instance(*entry) for entry in document["instances"]),
            tuple(document["pair"]),
            document["turns"],
            document["turned"],
        )

    def write(self) -> dict[str, Any]:
        """The ``voices`` of a heartbeat row."""
        entries = [[entry.id, entry.first, entry.last, entry.seq] for entry in self.instances]
        return {"instances": entries, "pair": list(self.pair), "turns": self.turns, "turned": self.turned}

    def instance(self, instance_id: str) -> Instance | None:
        """An instance that is remembered, or None."""
        return next((entry for entry in self.instances if entry.id == instance_id), None)

    def cloned(self, now: float) -> bool:
        """True while two instances take turns."""
        return self.turns >= TURNS and now - self.turned < OVER_AFTER

    def is_younger(self, instance_id: str) -> bool:
        """True for the one of the pair that was heard first later than the other."""
        pair = [entry for entry in self.instances if entry.id in self.pair]
        return len(pair) == 2 and max(pair, key=lambda entry: entry.first).id == instance_id

    def heard(self, instance_id: str, now: float) -> Voices:
        """After hearing an instance at `now`."""
        own = self.instance(instance_id)
        previous = self.instances[-1] if self.instances else None
        pair, turns, turned = self.pair, self.turns, self.turned
        if self.turns >= TURNS and not self.cloned(now):
            pair, turns = (), 0
        if previous is not None and previous.id != instance_id:
            both = tuple(sorted((previous.id, instance_id)))
            recent = now - previous.last <= HEARD_WITHIN and (own is None or now - own.last <= HEARD_WITHIN)
            same = both == pair
            turns = (turns + 1 if same else 1) if recent else 0
            pair, turned = both, now
        spoken = replace(own, last=now) if own is not None else Instance(instance_id, now, now)
        others = tuple(entry for entry in self.instances if entry.id != instance_id)
        return Voices((*others, spoken)[-_KEPT:], pair, turns, turned)

    def accepted(self, instance_id: str, seq: int) -> Voices:
        """With the newest `seq` of an instance."""
        instances = tuple(
            replace(entry, seq=seq) if entry.id == instance_id else entry for entry in self.instances
        )
        return replace(self, instances=instances)
