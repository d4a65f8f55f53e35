"""What the machine's metadata says of its policies: status, details and CPU time, through a file for himds.

Documented: instance metadata holds policy compliance status and details, where guest configuration policies
are used ("Overview of Azure Connected Machine agent"). The names of the properties are ours, and CPU time is
our own addition.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from arcbed_agent.files import remove_durably, write_durably
from arcbed_agent.gcad.records import Assignment
from arcbed_agent.governor.words import in_words
from arcbed_agent.host.layout import Layout

STATUS: Final = "policyComplianceStatus"
DETAILS: Final = "policyComplianceDetails"
USAGE: Final = "policyCpuUsage"
#: Worst first.
_ORDER: Final = ("NonCompliant", "Pending", "Compliant")


def summary(assignments: Iterable[Assignment]) -> dict[str, str]:
    """The properties; empty where the machine has no assignments, no CPU time before the first evaluation."""
    items = sorted(assignments, key=lambda item: item.name)
    if not items:
        return {}
    found = {item.name: "Pending" if item.initial else item.status for item in items}
    used = {item.name: in_words(item.used) for item in items if item.used}
    worst = next(word for word in _ORDER if word in found.values())
    return {STATUS: worst, DETAILS: _listed(found)} | ({USAGE: _listed(used)} if used else {})


def _listed(words: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {word}" for name, word in words.items())


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
