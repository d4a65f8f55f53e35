"""How often a machine may ask and write: ``docs/wire.md`` section 16."""

from __future__ import annotations

import pytest


async def test_sixth_pull_at_once_has_to_wait_and_the_others_machines_do_not(bed):
    for _ in range(5):
        await bed.pull()
    answer = await bed.gas("GET", "/assignments")
    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "TooManyRequests"
    assert answer.headers["retry-after"] == "10"
    await bed.pull("web-02")
    await bed.clock.advance(seconds=10)
    await bed.pull()


async def test_eleventh_report_at_once_has_to_wait_and_is_taken_then(bed):
    await bed.assign("Motd")
    for number in range(10):
        assert (await bed.report("Motd", number)).status_code == 201
    answer = await bed.report("Motd", 10)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    await bed.clock.advance(seconds=5)
    assert (await bed.report("Motd", 10)).status_code == 201


async def test_pull_every_five_minutes_never_has_to_wait(bed):
    for _ in range(20):
        await bed.pull()
        await bed.clock.advance(minutes=5)


class TestWithoutLimits:
    @pytest.fixture
    def changes(self):
        return {"request_limits": False}

    async def test_nobody_has_to_wait(self, bed):
        for _ in range(30):
            await bed.pull()
