"""What handlers use of the CPU: in status reports, in the machine's metadata, and while they run."""

from __future__ import annotations

from arcbed import handlers
from arcbed_agent.detected import detected
from arcbed_agent.governor import together
from arcbed_cloud.clock import Keeper

HANDLER = "Arcbed.Test.Sample"


async def test_a_status_report_has_the_account_of_what_a_handler_left_running(bed, tmp_path):
    bed.service.put(handlers.build("cpu_burner", tmp_path).read_bytes())
    async with bed.running() as extd:
        await bed.pull(extd)
        operation = bed.service.finals()[0]["governance"]
        now = extd.status()["governance"][HANDLER]
        await bed.clock.advance(minutes=31)
        status = bed.service.statuses[-1]["governance"]
    assert operation["cpuSecondsUsed"] >= 0
    assert (operation["backend"], operation["enforced"]) == (now["backend"], False)
    assert operation["wallSeconds"] > 0
    assert status["cpuSecondsUsed"] >= now["cpuSecondsUsed"] > 0
    assert status["cgroup"] == now["cgroup"]


async def test_the_machines_metadata_says_what_extensions_have_used_until_they_are_gone(bed):
    bed.service.put(bed.handler())
    async with bed.running() as extd:
        await bed.pull(extd)
        said = detected(bed.layout)["extensionsCpuUsage"]
        account = bed.service.finals()[0]["governance"]
        assert said.startswith(f"sample: {account['cpuSecondsUsed']:g} s CPU in {account['wallSeconds']:g} s")
        assert said.endswith(f"no limit ({account['backend']})")
        bed.service.delete()
        await bed.pull(extd)
        await bed.pull(extd)
        assert detected(bed.layout) == {}


async def test_what_a_handler_left_running_is_limited_while_time_flows_as_the_setting_says(bed, tmp_path):
    bed.clock = bed.service.clock = clock = Keeper("live")
    bed.service.put(handlers.build("forking_a_daemon", tmp_path).read_bytes())
    async with bed.running() as extd:

        async def limit():
            await extd.accounts.settled()
            return extd.status()["governance"][HANDLER]["cpuLimitPercent"]

        await clock.freeze()
        await bed.pull(extd)
        assert await limit() is None
        await clock.resume()
        assert await limit() == 30
        bed.configure(**{"extensions.agent.cpulimit": 7})
        await extd._methods()["reload"]({}, None)
        assert await limit() == 7
        await clock.freeze()
        assert await limit() is None


def test_the_account_of_an_operation_is_that_of_its_commands_together():
    one = {"cpuSecondsUsed": 0.5, "wallSeconds": 2.0, "throttledSeconds": 1.5, "periods": 20}
    other = {"cpuSecondsUsed": 0.25, "wallSeconds": 1.0, "throttledSeconds": 0.0, "periods": 3}
    first = {
        **one,
        "throttledPeriods": 15,
        "cpuLimitPercent": 60.0,
        "enforced": True,
        "escapes": [{"pid": 7}],
    }
    last = {**other, "throttledPeriods": 0, "cpuLimitPercent": 30.0, "enforced": True, "escapes": []}
    found = together([first, {}, last])
    assert found == {
        "cpuSecondsUsed": 0.75,
        "wallSeconds": 3.0,
        "throttledSeconds": 1.5,
        "periods": 23,
        "throttledPeriods": 15,
        "cpuLimitPercent": 30.0,
        "enforced": True,
        "escapes": [{"pid": 7}],
    }
    assert not together([first, {**last, "enforced": False}])["enforced"]
    assert together([{}, {}]) == {}
