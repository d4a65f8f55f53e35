"""The stories that `arcbed run` tells, told under pytest on a bed of processes.

Those that need more than processes are told on containers, in `tests/containers`.
"""

from __future__ import annotations

import pytest

from arcbed.harness.places import PROCESS
from arcbed.harness.reports import write
from arcbed.harness.runner import Run, run_one
from arcbed.harness.scenario import Scenario, discover


def _marks(scenario: Scenario) -> list[pytest.MarkDecorator]:
    long = [pytest.mark.long, pytest.mark.timeout(2_400)] if scenario.long else []
    return [*long, pytest.mark.alone] if scenario.alone else long


TOLD_HERE = [
    pytest.param(scenario, id=scenario.name, marks=_marks(scenario))
    for scenario in discover().values()
    if not PROCESS.lacks.keys() & set(scenario.needs)
]


@pytest.mark.parametrize("scenario", TOLD_HERE)
async def test_story_holds(scenario: Scenario, tmp_path, record_property):
    told = await run_one(scenario, seed="stories")
    for clause, outcome in told.clauses().items():
        record_property(f"clause {clause}", outcome)
    reports = write(Run("stories", told.began, [told]), tmp_path)
    assert told.outcome == "passed", f"{told.error}\n{reports.page}"
