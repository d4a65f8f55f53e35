"""What the machine's metadata says of its policies: status, details and CPU time, through a file for himds.

Documented: instance metadata holds policy compliance status and details, where guest configuration policies
are used ("Overview of Azure Connected Machine agent"). The names of the properties are ours, and CPU time is
our own addition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from arcbed_agent.detected import DetectedFile
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
        self._file = DetectedFile(layout["policy_compliance"])

    def update(self, assignments: Iterable[Assignment]) -> None:
        """Say what is now."""
        self._file.say(summary(assignments))
