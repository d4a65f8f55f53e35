"""One bed serves plain and async tests."""

from __future__ import annotations

import threading

import pytest

from arcbed.harness import Bed, Machine
from arcbed.harness.session import BedSession


@pytest.fixture
def session(backend, tmp_path):
    made = BedSession()
    made._bed = Bed(backend=backend, folder=tmp_path)
    made._thread.start()
    made.call(made._bed.__aenter__())
    yield made
    made.__exit__()


def test_blocking_view_gives_results_and_further_views(session):
    machine = session.bed.machine("m")
    assert machine.name == "m"
    assert machine.azcmagent("show").stdout == "said\n"
    assert [one.name for one in session.bed.machines] == ["m"]
    assert session.bed.machines[0].stop() is None


async def test_awaited_view_is_awaited_in_the_loop_of_the_test(session):
    bed = session.view(session.live, awaited=True)
    machine = await bed.machine("m")
    assert (await machine.azcmagent("show")).stdout == "said\n"


def test_work_is_done_on_the_loop_of_the_bed(session, monkeypatch):
    threads = []

    async def noted(self):
        threads.append(threading.current_thread().name)

    monkeypatch.setattr(Machine, "stop", noted)
    session.bed.machine("m").stop()
    assert threads == ["arcbed"]


def test_view_is_transparent_to_what_is_no_coroutine(session):
    cloud = session.bed.cloud
    assert cloud.subscription_id == session.live.cloud.subscription_id
    assert cloud.arm.group_id("g").endswith("/resourceGroups/g")
    assert "connect" in dir(session.bed.machine("m"))


def test_error_on_the_loop_of_the_bed_reaches_the_test(session):
    session.bed.machine("m")
    with pytest.raises(FileExistsError):
        session.bed.machine("m")
