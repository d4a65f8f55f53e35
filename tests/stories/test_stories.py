"""The stories that `arcbed run` tells, told under pytest."""

from __future__ import annotations

import pytest

from arcbed.harness.reports import write
from arcbed.harness.runner import Run, run_one
from arcbed.harness.scenario import Scenario, discover


@pytest.mark.parametrize("scenario", discover().values(), ids=lambda scenario: scenario.name)
async def test_story_holds(scenario: Scenario, tmp_path, record_property):
    told = await run_one(scenario, seed="stories")
    for clause, outcome in told.clauses().items():
        record_property(f"clause {clause}", outcome)
    reports = write(Run("stories", told.began, [told]), tmp_path)
    assert told.outcome == "passed", f"{told.error}\n{reports.page}"
