"""The settings file of a configuration, and the number that its handler sees.

Source: Azure/WALinuxAgent, `exthandlers.py`: without any settings the file is empty and the number is 0.
"""

from __future__ import annotations

from typing import Any

from arcbed_agent.extd.goal import Goal
from arcbed_agent.extd.vault import Vault


def given(goal: Goal, protected: str) -> bool:
    """Whether there are any settings, public or protected."""
    return goal.settings is not None or bool(protected)


def number(goal: Goal, protected: str) -> int:
    """The sequence number that the handler sees."""
    return goal.sequence if given(goal, protected) else 0


def document(goal: Goal, protected: str, vault: Vault) -> dict[str, Any] | None:
    """What the settings file holds; None: nothing.

    Args:
        goal: with the public settings; they are never null in the file, since simple handlers index them.
        protected: as base64 of DER CMS; empty without any.
        vault: whose certificate they are for.
    """
    if not given(goal, protected):
        return None
    inner = {
        "publicSettings": goal.settings or {},
        "protectedSettings": protected or None,
        "protectedSettingsCertThumbprint": vault.thumbprint if protected else None,
    }
    return {"runtimeSettings": [{"handlerSettings": inner}]}
