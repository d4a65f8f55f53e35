"""CPU governance: commands run in groups that the operating system holds to a limit.

governor = await choose(wishes(local_config), owner="gcad", root=layout.root, clock=clock)
limits = Limits.here(local_config, clock)
worker = await governor.launch([python, "-m", "worker"], name="worker", limit=limits.policy())
code = await worker.wait()
report["engine"].update(worker.usage().document())
await governor.close()
"""

from __future__ import annotations

from arcbed_agent.governor.announcement import announce, announced, in_force, retract
from arcbed_agent.governor.choice import choose, wishes
from arcbed_agent.governor.contract import (
    BACK_ENDS,
    Choice,
    Escape,
    Governed,
    Governor,
    GovernorError,
    Limit,
    Mode,
    Of,
    Usage,
    Wishes,
)
from arcbed_agent.governor.limits import Limits
from arcbed_agent.governor.words import in_words, together

__all__ = [
    "BACK_ENDS",
    "Choice",
    "Escape",
    "Governed",
    "Governor",
    "GovernorError",
    "Limit",
    "Limits",
    "Mode",
    "Of",
    "Usage",
    "Wishes",
    "announce",
    "announced",
    "choose",
    "in_force",
    "in_words",
    "retract",
    "together",
    "wishes",
]
