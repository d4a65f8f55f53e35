"""The limits page from docs/limits.toml: what is not there, or not as in Azure, and why."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from arcbed_docs import text

DATA = Path(__file__).parents[2] / "docs" / "limits.toml"
KINDS = {
    "absent": "Not there",
    "different": "There, but not as in Azure",
    "guess": "A guess, because nothing is published",
}


def load() -> list[dict[str, Any]]:
    """The rows of the file.

    Raises:
        ValueError: a row lacks a member, or has an unknown kind.
    """
    rows: list[dict[str, Any]] = tomllib.loads(DATA.read_text())["limit"]
    for row in rows:
        if missing := {"kind", "area", "what", "why"} - row.keys():
            raise ValueError(f"{row}: no {', '.join(sorted(missing))}")
        if row["kind"] not in KINDS:
            raise ValueError(f"{row}: kind is not one of {', '.join(KINDS)}")
    return rows


def page() -> str:
    """The limits page."""
    rows = load()
    parts = [text.intro("limits")]
    for kind, title in KINDS.items():
        found = [
            (row["area"], row["what"], row["why"], row.get("instead", ""))
            for row in rows
            if row["kind"] == kind
        ]
        if found:
            parts += [f"## {title}", text.table(("area", "what", "why", "what to do instead"), found)]
    return text.page("Limits", "`docs/limits.toml`", *parts)
