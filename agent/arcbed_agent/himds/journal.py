"""The journal of a `connect` that has not been completed, in `registration.json`.

It is written before ARM hears of the machine and removed when `agentconfig.json` says that it is connected,
so that a `connect` after a crash goes on with the same vmId and the same key.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Final, Literal

from arcbed_agent.config import AgentConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.files import make_folder, remove_durably, write_durably
from arcbed_agent.host.layout import Layout

#: `prepared`: vmId and key are on disk. `created`: ARM has acknowledged the machine.
Stage = Literal["prepared", "created"]
PREPARED: Final = "prepared"
CREATED: Final = "created"


@dataclass(frozen=True)
class Journal:
    """What the machine will be, and how far it has come."""

    target: AgentConfig
    stage: Stage

    def save(self, layout: Layout) -> None:
        """Write it durably."""
        path = layout["registration"]
        make_folder(path.parent)
        write_durably(path, json.dumps({"stage": self.stage, **asdict(self.target)}, indent=2) + "\n")


def read_journal(layout: Layout) -> Journal | None:
    """The journal on disk, or None.

    Raises:
        AgentError: 70, there is one that cannot be read.
    """
    path = layout["registration"]
    try:
        document = json.loads(path.read_bytes())
        stage = document.pop("stage")
        known = {item.name for item in fields(AgentConfig)}
        target = AgentConfig(**{key: str(value) for key, value in document.items() if key in known})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise AgentError(70, f"cannot read {path}: {error}") from error
    return Journal(target, CREATED if stage == CREATED else PREPARED)


def remove_journal(layout: Layout) -> None:
    """Forget it durably."""
    remove_durably(layout["registration"])
