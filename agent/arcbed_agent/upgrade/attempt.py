"""The newest attempt to upgrade, in `upgrade.json`: himds reports it, and does not try the same thing twice.

It is written before the package manager starts and again when it has ended, since himds itself is replaced in
between.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Literal, Self

from arcbed_agent.files import make_folder, write_durably
from arcbed_agent.host.layout import Layout

#: ARM knows Success and Failed; an attempt that is going on is reported when it has ended.
Status = Literal["Running", "Success", "Failed"]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt.

    Args:
        desired_version: what was asked for.
        correlation_id: of the request; empty where a person upgraded.
        status: how it ended.
        timestamp: when it ended, or began while it is going on; RFC 3339.
        message: why it failed.
    """

    desired_version: str
    correlation_id: str = ""
    status: Status = "Running"
    timestamp: str = ""
    message: str = ""

    @classmethod
    def load(cls, layout: Layout) -> Self | None:
        """The newest attempt; None where there was none or the file is damaged."""
        try:
            document = json.loads(layout["upgrade"].read_bytes())
            names = {entry.name for entry in fields(cls)}
            return cls(**{name: str(value) for name, value in document.items() if name in names})  # type: ignore[arg-type]
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def save(self, layout: Layout) -> None:
        """Write it durably.

        Raises:
            OSError: nothing was changed.
        """
        path = layout["upgrade"]
        make_folder(path.parent)
        write_durably(path, json.dumps(asdict(self), indent=2) + "\n", mode=0o644)

    def reported(self) -> dict[str, str]:
        """ARM's members of `agentUpgrade` about it; empty while it is going on."""
        if self.status == "Running":
            return {}
        return {
            "lastAttemptDesiredVersion": self.desired_version,
            "lastAttemptTimestamp": self.timestamp,
            "lastAttemptStatus": self.status,
            "lastAttemptMessage": self.message,
        }
