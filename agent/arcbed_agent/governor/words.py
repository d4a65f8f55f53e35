"""Accounts as documents (`Usage.document`): several as one, and one as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

_SECONDS: Final = ("cpuSecondsUsed", "throttledSeconds", "wallSeconds")
_NUMBERS: Final = ("periods", "throttledPeriods")


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


def together(accounts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One account of commands that ran one after the other; limit and back end are the last one's."""
    found = [account for account in accounts if account]
    if not found:
        return {}
    return {
        **found[-1],
        **{name: round(sum(float(one.get(name) or 0) for one in found), 3) for name in _SECONDS},
        **{name: sum(int(one.get(name) or 0) for one in found) for name in _NUMBERS},
        "enforced": all(one.get("enforced") for one in found),
        "escapes": [escape for one in found for escape in one.get("escapes") or []],
    }


def _limit(account: Mapping[str, Any]) -> str:
    percent, backend = account.get("cpuLimitPercent"), account.get("backend", "")
    if percent is None:
        return f"no limit ({backend})"
    of = "the machine" if account.get("percentOf") == "machine" else "one core"
    kept = "enforced" if account.get("enforced") else "not enforced"
    return f"limit {percent:g} % of {of} {kept} ({backend})"
