"""What the machine's metadata says of its policies: status and details, through a file that himds reads.

Documented: instance metadata holds policy compliance status and details, where guest configuration policies
are used ("Overview of Azure Connected Machine agent"). The names of the properties are ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from arcbed_agent.files import remove_durably, write_durably
from arcbed_agent.gcad.records import Assignment
from arcbed_agent.host.layout import Layout

STATUS: Final = "policyComplianceStatus"
DETAILS: Final = "policyComplianceDetails"
#: Worst first.
_ORDER: Final = ("NonCompliant", "Pending", "Compliant")


def summary(assignments: Iterable[Assignment]) -> dict[str, str]:
    """The two properties; empty where the machine has no assignments."""
    found = {item.name: "Pending" if item.initial else item.status for item in assignments}
    if not found:
        return {}
    worst = next(word for word in _ORDER if word in found.values())
    return {STATUS: worst, DETAILS: "; ".join(f"{name}: {word}" for name, word in sorted(found.items()))}


class ComplianceFile:
    """The file."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout["policy_compliance"]
        self._written: dict[str, str] | None = None

    def update(self, assignments: Iterable[Assignment]) -> None:
        """Say what is now."""
        now = summary(assignments)
        if now == self._written:
            return
        if now:
            write_durably(self._path, json.dumps(now), mode=0o640, power_loss=False)
        else:
            remove_durably(self._path)
        self._written = now


def properties(layout: Layout) -> dict[str, str]:
    """What gcad has said last; empty where it has not."""
    with suppress(OSError, ValueError):
        document = json.loads(layout["policy_compliance"].read_bytes())
        if isinstance(document, Mapping):
            return {str(name): str(value) for name, value in document.items()}
    return {}
