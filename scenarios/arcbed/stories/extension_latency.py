"""From a PUT in ARM to the running handler: how long it takes when nobody polls."""

from __future__ import annotations

import math
import statistics

from arcbed.harness import Bed, Machine, arc, clock, extensions
from arcbed.harness.checks import equal, eventually, true
from arcbed.harness.recorder import Chart, Curve
from arcbed.harness.scenario import scenario

GROUP = "rg-latency"
PUTS = 50
#: Nobody polls within the time of the story, and what handlers use of the CPU is only measured.
SETTINGS = {
    "extd.pullSeconds": 3_000,
    "gcad.pullSeconds": 3_000,
    "himds.heartbeatSeconds": 3_000,
    "governor.mode": "account",
}
MEDIAN, P95 = 0.3, 0.6


@scenario("From a PUT to the running handler in a third of a second", alone=True)
async def story(bed: Bed) -> None:
    """Fifty PUTs with other settings, on the clock that flows, over TLS and a real relay socket.

    Measured is from before the PUT to the time that the handler itself notes when its enable begins. Agents
    are told to poll every 50 minutes, so that only the notification channel can have brought the news. CPU
    is counted, not limited: a handler at 5 % of a core would measure its limit.
    """
    web = await arc.onboard(bed, "web-01", GROUP, config=SETTINGS)
    kind = await extensions.publish(bed, "well_behaved")
    async with bed.step("The channel is open, and a first PUT installs", ["extension.installed"]):
        await channel(web)
        (await extensions.put(bed, web, "probe", kind, settings={"number": -1})).expect_ok()
        await succeeded(bed, web)

    async with bed.step(f"{PUTS} PUTs, one after the other", ["extension.pushed"]):
        began = clock.epoch()
        took = [(clock.epoch() - began, await put(bed, web, kind, number)) for number in range(PUTS)]
        shown(bed, took)
        seconds = [one for _, one in took]
        median, p95 = statistics.median(seconds), sorted(seconds)[math.ceil(0.95 * PUTS) - 1]
        bed.note(f"median {median * 1_000:.0f} ms, 95 of 100 within {p95 * 1_000:.0f} ms")
        true(f"the median is below {MEDIAN} s", median < MEDIAN, f"{median:.3f} s")
        true(f"95 of 100 are below {P95} s", p95 < P95, f"{p95:.3f} s")

    async with bed.step("Each enabled the handler once", ["extension.enable-again"]):
        enabled = [one.sequence for one in extensions.runs(web, kind) if one.command == "enable"]
        equal("sequence numbers", enabled, list(range(PUTS + 1)))


async def channel(web: Machine) -> None:
    """Wait until himds listens."""

    async def opened() -> bool:
        return "Notification channel is open" in web.path("himds_log").read_text()

    await eventually("the channel is open", opened)


async def put(bed: Bed, web: Machine, kind: str, number: int) -> float:
    """Seconds from before the PUT to the beginning of enable; returns when ARM says Succeeded."""
    before = clock.epoch()
    (await extensions.put(bed, web, "probe", kind, settings={"number": number})).expect_ok()
    await succeeded(bed, web)
    return extensions.runs(web, kind)[-1].at - before


async def succeeded(bed: Bed, web: Machine) -> None:
    """Wait until ARM says so."""

    async def done() -> bool:
        return await extensions.state(bed, web, "probe") == "Succeeded"

    await eventually("the extension has succeeded", done)


def shown(bed: Bed, took: list[tuple[float, float]]) -> None:
    """The figure of the report: when each PUT was made, and how long it took."""
    points = tuple((at, seconds * 1_000) for at, seconds in took)
    title = "From each PUT to the handler's enable, over the time of the step"
    bed.chart(Chart(title, "ms", (Curve("PUT to enable", points),), ((0.0, MEDIAN * 1_000),)))
