"""The fourteen days with hours in place of days; `make test-long` tells them in full."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from arcbed.harness import Bed, arc
from arcbed.harness.checks import equal
from arcbed.harness.runner import run_one
from arcbed.harness.scenario import Scenario
from arcbed.stories import disconnect_retention
from arcbed.stories.disconnect_retention import Rules

SHORT = Rules(window=timedelta(hours=2), calm=timedelta(hours=1), minutes=15)
OPTIONS = dataclasses.replace(arc.STEPPED, arguments=("--retention-seconds", "7200"))


async def told(story, options=OPTIONS):
    shorter = Scenario(name="retention", title="retention", about="", options=options, story=story)
    return await run_one(shorter, seed="retention")


async def test_assignments_survive_the_window_to_the_second_and_not_one_more() -> None:
    async def story(bed: Bed) -> None:
        await disconnect_retention.retention(bed, SHORT)

    run = await told(story)
    assert run.outcome == "passed", run.error
    tables = [event.body for step in run.steps for event in step.events if "must contain" in event.title]
    assert len(tables) == 2


@pytest.mark.long
async def test_with_delete_as_the_clouds_rule_the_assignment_is_gone_from_arm_too() -> None:
    async def story(bed: Bed) -> None:
        stage = await disconnect_retention.prepared(bed, SHORT)
        await disconnect_retention.connected_and_compliant(stage)
        last = await stage.contact()
        async with stage.web.cut_off("unreachable"):
            await bed.time.advance_to(last + SHORT.window + timedelta(hours=1))
            equal("in ARM", await disconnect_retention.found_in_arm(stage), 404)
        await stage.touch()
        await bed.advance(hours=1)
        equal("in ARM", await disconnect_retention.found_in_arm(stage), 404)
        equal("on the machine", [name for name in stage.contents if stage.there(name)], [])

    arguments = (*OPTIONS.arguments, "--arm-on-expiry", "delete")
    run = await told(story, dataclasses.replace(OPTIONS, arguments=arguments))
    assert run.outcome == "passed", run.error
