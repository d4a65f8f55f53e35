"""Whatever clients, agent and time do in whatever order: no number twice, no operation without an end."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import httpx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from arcbed_cloud.settings import Settings

from .conftest import Bed

NAMES = ("a", "b")
PUT = st.tuples(st.just("put"), st.sampled_from(NAMES), st.integers(0, 2))
DELETE = st.tuples(st.just("delete"), st.sampled_from(NAMES))
DEEDS = st.one_of(
    *(PUT, PUT, PUT, DELETE, DELETE),
    st.tuples(st.just("upgrade")),
    st.tuples(st.just("pull")),
    st.tuples(st.just("obey"), st.sampled_from(["Succeeded", "Failed"])),
    st.tuples(st.just("report"), st.integers(0, 3), st.sampled_from(["InProgress", "Succeeded", "Failed"])),
    st.tuples(st.just("repeat"), st.integers(0, 3)),
    st.tuples(st.just("hours"), st.sampled_from([1, 5, 7])),
    st.tuples(st.just("restart")),
)


class Story:
    """Does deeds, and remembers what was promised and what the machine was told."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.accepted: list[httpx.Response] = []
        self.known: list[dict] = []
        self.sent: list[tuple[dict, str]] = []
        self.goals: dict[tuple[str, int], set[str]] = defaultdict(set)

    async def do(self, deed: tuple) -> None:
        match deed:
            case ("put", name, value):
                answer = await self.bed.put(name, type=name.upper(), settings={"value": value})
                self._promised(answer, 409)
            case ("delete", name):
                self._promised(await self.bed.arm("DELETE", self.bed.extension(name)), 204)
            case ("upgrade",):
                body = {"extensionTargets": {"Contoso.Tools": {"targetVersion": "1.1"}}}
                path = f"{self.bed.machine()}/upgradeExtensions"
                self._promised(await self.bed.arm("POST", path, body), 409, 400)
            case ("pull",):
                self.known = await self.bed.pull()
            case ("obey", state):
                await self.bed.obey(state)
            case ("report", number, state):
                if open_items := [item for item in self.known if item["operation"]]:
                    item = open_items[number % len(open_items)]
                    self.sent.append((item, state))
                    await self._report(item, state)
            case ("repeat", number):
                if self.sent:
                    await self._report(*self.sent[number % len(self.sent)])
            case ("hours", hours):
                await self.bed.clock.advance(timedelta(hours=hours))
            case ("restart",):
                await self.bed.restart()
        self.check()

    async def _report(self, item: dict, state: str) -> None:
        answer = await self.bed.report(item, state)
        assert answer.status_code in {200, 404, 410}, answer.text

    def _promised(self, answer: httpx.Response, *refusals: int) -> None:
        assert answer.status_code in {202, *refusals}, answer.text
        if answer.status_code == 202:
            self.accepted.append(answer)

    def check(self) -> None:
        """No number ever meant two things; what is open in ARM has somebody who works at it."""
        rows = self.bed.cloud.extensions.items.of(self.bed.machine().lower())
        for row in rows:
            goal = row.document["agent"]["goal"]
            if goal is not None and goal["desiredState"] == "enabled":
                meant = repr((goal["version"], goal["settings"]))
                self.goals[row.document["name"], goal["sequenceNumber"]].add(meant)
        assert all(len(told) == 1 for told in self.goals.values()), self.goals
        store = self.bed.cloud.plane.store
        waited_for = {
            row.document["agent"]["operation"]["arm"] for row in rows if row.document["agent"]["operation"]
        }
        pending = {
            row.document["name"]
            for row in store.rows("operations")
            if row.document["status"] in {"Queued", "InProgress"}
        }
        assert pending == waited_for

    async def finish(self) -> None:
        """An agent that obeys ends everything."""
        for _ in range(3):
            await self.bed.obey()
        for accepted in self.accepted:
            assert (await self.bed.operation(accepted))["status"] in {"Succeeded", "Failed", "Canceled"}
        for row in self.bed.cloud.extensions.items.of(self.bed.machine().lower()):
            assert row.document["properties"]["provisioningState"] in {"Succeeded", "Failed"}


async def tell(planted: Path, folder: Path, deeds: list[tuple]) -> None:
    state = shutil.copytree(planted, folder / "state")
    begin = Settings(state=state, clock="stepped", seed="extensions")
    async with Bed.opened(begin, folder=folder) as bed:
        await bed.prepare()
        for name in NAMES:
            for version in ("1.0.0", "1.1.0"):
                bed.publish(version, name=f"Contoso.Tools.{name.upper()}")
        story = Story(bed)
        for deed in deeds:
            await story.do(deed)
        await story.finish()


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(deeds=st.lists(DEEDS, min_size=15, max_size=30))
def test_any_order_of_deeds_keeps_numbers_and_ends_operations(planted, deeds):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(tell(planted, Path(folder), deeds))
