"""The life of an identity with days in place of months; `make test-long` tells it in full."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

from arcbed.harness import Bed, arc
from arcbed.harness.runner import run_one
from arcbed.harness.scenario import Scenario
from arcbed.stories import identity_lifecycle
from arcbed.stories.identity_lifecycle import Rules


async def test_identity_is_renewed_expires_and_begins_anew_with_shorter_rules() -> None:
    async def story(bed: Bed) -> None:
        await identity_lifecycle.lifecycle(bed, Rules(timedelta(days=4), timedelta(days=2)))

    options = dataclasses.replace(
        arc.STEPPED, arguments=("--certificate-days", "4", "--renew-after-days", "2")
    )
    shorter = Scenario(name="identity", title="identity", about="", options=options, story=story)
    told = await run_one(shorter, seed="identity")
    assert told.outcome == "passed", told.error
    tables = [event.body for step in told.steps for event in step.events if "must contain" in event.title]
    assert len(tables) == 5
    assert "heartbeats of kept-01" in tables[0]
