"""What himds remembers between heartbeats, in `state.json`.

It survives a kill. It is not flushed for power cuts: what is lost is one heartbeat's news, which the next
one brings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from arcbed_agent.files import make_folder, remove_durably, write_durably
from arcbed_agent.host.layout import Layout


@dataclass(frozen=True, kw_only=True)
class State:
    """The last heartbeat and what the service answered.

    Args:
        failures: heartbeats that failed in a row.
        last_heartbeat: bed time of the last accepted one, RFC 3339.
        machine: `machine` of the answer: resourceId, name, location, tags, tagsGeneration.
        generations: `generations` of the answer, and `tags`.
        error_code, error_details, error_timestamp: the last failure, empty after a success.
    """

    failures: int = 0
    last_heartbeat: str = ""
    error_code: str = ""
    error_details: str = ""
    error_timestamp: str = ""
    machine: dict[str, Any] = field(default_factory=dict)
    generations: dict[str, int] = field(default_factory=dict)

    @property
    def tags(self) -> dict[str, str]:
        """The machine's tags in Azure."""
        tags = self.machine.get("tags")
        return {str(key): str(value) for key, value in tags.items()} if isinstance(tags, dict) else {}

    def succeeded(self, now: datetime, answer: Mapping[str, Any]) -> State:
        """The state after the service has accepted a heartbeat."""
        machine = answer.get("machine")
        generations = answer.get("generations")
        merged = {**self.generations}
        if isinstance(generations, dict):
            merged.update({key: value for key, value in generations.items() if isinstance(value, int)})
        if isinstance(machine, dict) and isinstance(machine.get("tagsGeneration"), int):
            merged["tags"] = machine["tagsGeneration"]
        return State(
            last_heartbeat=rfc3339(now),
            machine=machine if isinstance(machine, dict) else self.machine,
            generations=merged,
        )

    def failed(self, now: datetime, code: str, details: str) -> State:
        """The state after a heartbeat has failed."""
        return replace(
            self,
            failures=self.failures + 1,
            error_code=code,
            error_details=details,
            error_timestamp=rfc3339(now),
        )


class StateFile:
    """`state.json` and its content."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout["state"]
        self.value = State()

    def load(self) -> None:
        """Read the file; what cannot be read is forgotten, the next heartbeat brings it back."""
        self.value = State()
        with suppress(OSError, ValueError, TypeError):
            document = json.loads(self._path.read_bytes())
            known = {item.name for item in fields(State)}
            self.value = State(**{key: value for key, value in document.items() if key in known})

    def set(self, state: State) -> None:
        """Keep `state`."""
        self.value = state
        make_folder(self._path.parent)
        write_durably(self._path, json.dumps(vars(state)), mode=0o640, power_loss=False)

    def forget(self) -> None:
        """Back to nothing."""
        self.value = State()
        remove_durably(self._path)


def rfc3339(moment: datetime) -> str:
    """UTC with seconds and ``Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
