"""Which page of docs/reference is made by what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from arcbed_docs import admin, agent, clauses, commands, coverage, handler_rules, limits, resources

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "azcmagent.md": commands.azcmagent,
    "fakecloud.md": commands.fakecloud,
    "arcbed.md": commands.arcbed,
    "azcm-codes.md": agent.codes,
    "localconfig.md": agent.settings,
    "files.md": agent.files,
    "admin-api.md": admin.page,
    "coverage.md": coverage.page,
    "limits.md": limits.page,
    "clauses.md": clauses.page,
    "handler-rules.md": handler_rules.page,
    "resources.md": resources.page,
}
