"""A bed of containers on a clock that is moved: the control network carries time, which no cut touches."""

from __future__ import annotations

from datetime import timedelta

import pytest

from arcbed.harness import DOCKER, Bed, CloudOptions, arc

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]
GROUP = "rg-time"
PERIOD = timedelta(minutes=5)


async def test_time_goes_on_for_a_machine_that_is_cut_off_and_after_the_keepers_death() -> None:
    options = CloudOptions(seed="time", clock="stepped", start="2026-03-01")
    async with Bed(options, place=DOCKER) as bed:
        await arc.prepare(bed, GROUP)
        steady = {"himds.jitterPercent": 0}
        machine = await bed.machine("web-01", resource_group=GROUP, config=steady)

        def failures() -> int:
            return machine.path("himds_log").read_text().count("failed to send a heartbeat")

        await arc.connect(bed, machine)
        assert (await bed.time.show())["repeatable"], "azcmagent hangs on the clock over TCP"
        await bed.advance(hours=1)
        assert await arc.status(machine) == "Connected"
        async with machine.cut_off("unreachable"):
            await bed.advance(PERIOD * 12 + PERIOD / 2)
            assert await arc.status(machine) == "Disconnected"
            told = "12 beats that were due; two quick retries at the region's host, two at the global one"
            assert failures() == 12 + 2 + 2, told
        await bed.advance(PERIOD)
        assert await arc.status(machine) == "Connected"

        before = await bed.time.now()
        await bed.cloud.host.kill()
        await bed.cloud.host.start()
        assert await bed.time.now() == before
        await bed.advance(PERIOD)
        assert await arc.status(machine) == "Connected"
        shown = await bed.time.show()
        assert {"web-01/himds", "bed/story"} <= set(shown["processes"])
        assert shown["missing"] == []
