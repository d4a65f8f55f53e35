"""Any order of wishes, restarts and cut lines: no command runs twice for a number, no final state is lost."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from extensions import SUCCEED, ExtdBed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

#: What may happen; a put is what happens most.
DEEDS = ["put", "put", "fail", "other version", "delete", "disable", "restart", "cut", "mend", "wait"]
STEPS = st.lists(
    st.sampled_from(DEEDS),
    min_size=2,
    max_size=7,
)  # fmt: skip


class Life:
    """One machine, one extension, and whatever the test thinks of."""

    def __init__(self, root: Path) -> None:
        self.bed = ExtdBed.make(root, **{"governor.backend": "none"})
        self.version = "1.0.0"

    def wish(self, step: str) -> None:
        service = self.bed.service
        there = service.items.get("sample")
        deleting = there is not None and there["desiredState"] == "uninstalled"
        if deleting and step in {"put", "fail", "other version", "disable"}:
            return  # ARM refuses it while a deletion is open
        if step == "other version":
            self.version = "1.1.0" if self.version == "1.0.0" else "1.0.0"
        if step in {"put", "fail", "other version", "disable"}:
            scripts = {"enable": "exit 9\n" if step == "fail" else SUCCEED}
            state = "disabled" if step == "disable" else "enabled"
            service.put(self.bed.handler(scripts), version=self.version, desiredState=state)
        elif step == "delete" and there is not None:
            service.delete()
        elif step in {"cut", "mend"}:
            service.away = step == "cut"

    async def live(self, steps: list[str]) -> None:
        for start in self.starts(steps):
            async with self.bed.running(end=False) as extd:
                await self.bed.clock.advance(seconds=1)
                for step in start:
                    self.wish(step)
                    await self.bed.pull(extd, 400 if step == "wait" else 1)
        self.bed.service.away = False
        async with self.bed.running() as extd:
            for _ in range(3):
                await self.bed.pull(extd, 1_000)
            self.prove(extd)

    @staticmethod
    def starts(steps: list[str]) -> list[list[str]]:
        found: list[list[str]] = [[]]
        for step in steps:
            if step == "restart":
                found.append([])
            else:
                found[-1].append(step)
        return found

    def prove(self, extd) -> None:
        service = self.bed.service
        repeated = [run for run, times in Counter(self.bed.runs).items() if times > 1]
        assert repeated == [], self.bed.runs
        for name, item in service.items.items():
            known = extd.store.get(name)
            assert known.settled
            assert known.report is None
            finals = [one for one in service.reports if one["operation"] == item["operation"]["operationId"]]
            assert [one["state"] for one in finals if one["state"] != "InProgress"] != []
        if not service.items:
            assert len(extd.store) == 0
            assert not list(self.bed.layout["extensions"].glob("Arcbed*"))


@pytest.mark.timeout(300)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_whatever_happens_no_command_runs_twice_and_no_result_is_lost(steps):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(Life(Path(folder) / "root").live(steps))


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_whatever_happens_for_long_no_command_runs_twice_and_no_result_is_lost(steps):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(Life(Path(folder) / "root").live(steps))
