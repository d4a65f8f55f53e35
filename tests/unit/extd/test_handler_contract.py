"""The manager keeps every rule of the handler contract: the rows are in tests/support/handler_rules."""

from __future__ import annotations

from collections import Counter

import pytest
from handler_contract import catalogue, play
from handler_rules import ROWS


@pytest.mark.parametrize("row", ROWS, ids=[row.title for row in ROWS])
async def test_the_contract_is_kept(bed, row):
    await play(row, bed)


def test_every_row_is_of_a_rule_and_is_told_from_the_others():
    assert {row.rule for row in ROWS} <= set(catalogue())
    assert [title for title, times in Counter(row.title for row in ROWS).items() if times > 1] == []
