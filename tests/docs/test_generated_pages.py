"""The generated pages of docs/reference say what the code says today."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from arcbed_docs import handler_rules, limits  # noqa: E402 - tools is no package of the distribution
from arcbed_docs.pages import PAGES, REFERENCE  # noqa: E402


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_equals_what_its_source_says(name):
    assert (REFERENCE / name).read_text(encoding="utf-8") == PAGES[name](), (
        f"docs/reference/{name} is stale: run `make docs`"
    )


def test_limit_without_a_reason_is_refused(tmp_path, monkeypatch):
    data = tmp_path / "limits.toml"
    data.write_text('[[limit]]\nkind = "absent"\narea = "x"\nwhat = "y"\n')
    monkeypatch.setattr(limits, "DATA", data)
    with pytest.raises(ValueError, match="no why"):
        limits.load()


def test_every_rule_of_the_handler_contract_is_proven():
    known = {f"{area}.{name}" for area, rules in handler_rules.load().items() for name in rules}
    assert known - handler_rules.proven(known).keys() == set()
