"""An account as people read it, in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def in_words(account: Mapping[str, Any]) -> str:
    """What `Usage.document` says: use, throttling and limit; empty for an empty account."""
    if not account:
        return ""
    used = f"{account.get('cpuSecondsUsed', 0.0):g} s CPU in {account.get('wallSeconds', 0.0):g} s"
    throttled = (
        f"throttled for {account.get('throttledSeconds', 0.0):g} s "
        f"in {account.get('throttledPeriods', 0)} of {account.get('periods', 0)} periods"
    )
    return f"{used}, {throttled}, {_limit(account)}"


def _limit(account: Mapping[str, Any]) -> str:
    percent, backend = account.get("cpuLimitPercent"), account.get("backend", "")
    if percent is None:
        return f"no limit ({backend})"
    of = "the machine" if account.get("percentOf") == "machine" else "one core"
    kept = "enforced" if account.get("enforced") else "not enforced"
    return f"limit {percent:g} % of {of} {kept} ({backend})"
