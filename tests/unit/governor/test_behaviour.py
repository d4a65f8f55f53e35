"""What every back end does alike, with real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from arcbed_agent.governor import Limit
from arcbed_agent.governor.processes import look

FREE = Limit(None)
#: Leaves a process behind whose parent has ended, in a session of its own, and writes its pid.
DAEMON = "(setsid sh -c 'echo $$ >{file}; exec sleep 300' >/dev/null 2>&1 &)"
#: The same, hiding where it comes from.
HIDDEN = "(env -i setsid /bin/sh -c 'echo $$ >{file}; exec sleep 300' >/dev/null 2>&1 &)"


def alive(pid: int) -> bool:
    process = look(pid)
    return process is not None and not process.ended


def pid_in(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0


def minutes_and_seconds(line: bytes) -> float:
    """The seconds of a line that the shell's `times` writes, user and system: 0m0.41s 0m0.02s."""
    parts = [text.removesuffix("s").split("m") for text in line.decode().split()]
    return sum(60 * float(minutes) + float(seconds) for minutes, seconds in parts)


async def test_back_end_is_offered_by_this_machine(offered, open_governor):
    governor = await open_governor(backend=offered)

    assert governor.choice.enforces
    assert str(governor.choice).startswith(f"{offered} (enforced): asked for; ")


async def test_command_gets_its_environment_folder_and_an_empty_input(governor, tmp_path):
    script = 'cat; echo "$GREETING in $PWD"; echo oops >&2; exit 7'
    started = await governor.launch(
        ["sh", "-c", script],
        name="one",
        limit=FREE,
        environment={"GREETING": "hello", "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )

    assert await started.stdout.read() == f"hello in {tmp_path}\n".encode()
    assert await started.stderr.read() == b"oops\n"
    assert await started.wait() == started.returncode == 7


async def test_command_killed_by_a_signal_returns_its_negative(governor):
    started = await governor.launch(["sh", "-c", "kill -TERM $$"], name="one", limit=FREE)

    assert await started.wait() == -signal.SIGTERM


async def test_missing_program_is_told_before_anything_is_made(governor):
    with pytest.raises(FileNotFoundError):
        await governor.launch(["no-such-program"], name="one", limit=FREE)
    with pytest.raises(PermissionError):
        await governor.launch(["/etc/passwd"], name="one", limit=FREE)

    assert governor.usage("one") is None


async def test_missing_folder_is_told_and_leaves_no_group(governor, tmp_path):
    with pytest.raises(FileNotFoundError):
        await governor.launch(["true"], name="one", limit=FREE, cwd=tmp_path / "missing")

    assert governor.usage("one") is None


async def test_group_is_gone_after_its_last_process(governor):
    started = await governor.launch(["true"], name="one", limit=FREE)
    await started.wait()

    assert governor.usage("one") is None
    assert started.usage().wall_seconds < 5


@pytest.mark.parametrize("script", [DAEMON, HIDDEN], ids=["daemon", "hidden"])
async def test_daemon_that_forks_twice_stays_in_the_group_until_it_is_ended(
    governor, tmp_path, until, script
):
    file = tmp_path / "pid"
    started = await governor.launch(["sh", "-c", script.format(file=file)], name="one", limit=FREE)
    assert await started.wait() == 0
    daemon = await until(lambda: pid_in(file))

    assert governor.usage("one") is not None
    await governor.end("one")

    assert not alive(daemon)
    assert governor.usage("one") is None


async def test_kill_ends_two_hundred_children(governor):
    bomb = "i=0; while [ $i -lt 200 ]; do sleep 300 & i=$((i+1)); done; echo ready; wait"
    started = await governor.launch(["sh", "-c", bomb], name="one", limit=FREE, stdout=subprocess.PIPE)
    assert await started.stdout.readline() == b"ready\n"

    await started.kill()

    assert started.returncode == -signal.SIGKILL
    assert governor.usage("one") is None


async def test_account_counts_children_and_what_they_left_behind(governor):
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    script = f"{sys.executable} -S -c '{burn}' & {sys.executable} -S -c '{burn}' & wait; times"
    started = await governor.launch(["sh", "-c", script], name="one", limit=FREE, stdout=subprocess.PIPE)
    own, children = [minutes_and_seconds(line) for line in (await started.stdout.read()).splitlines()]
    assert await started.wait() == 0

    assert children > 0.37  # in ticks
    assert children - 0.05 <= started.usage().cpu_seconds < own + children + 0.1


async def test_second_command_joins_the_group_and_counts_for_itself(governor, tmp_path):
    first = await governor.launch(["sleep", "300"], name="one", limit=FREE)
    burn = "import time\nwhile time.process_time() < 0.1: pass"
    second = await governor.launch([sys.executable, "-S", "-c", burn], name="one", limit=FREE)
    await second.wait()

    assert second.usage().cpu_seconds == pytest.approx(governor.usage("one").cpu_seconds, abs=0.05)
    await first.kill()


async def test_groups_are_independent(governor):
    first = await governor.launch(["sleep", "300"], name="one", limit=FREE)
    second = await governor.launch(["sleep", "300"], name="two", limit=FREE)
    await first.kill()

    assert second.returncode is None
    await second.kill()


async def test_accounts_of_all_groups_can_be_read_and_told_apart_by_time(governor):
    first = await governor.launch(["sh", "-c", "exec sleep 300"], name="one", limit=FREE)
    await governor.launch(["sleep", "300"], name="two", limit=FREE)
    assert set(governor.usages()) == {"one", "two"}

    before = first.usage()
    burnt = "import time\nwhile time.process_time() < 0.1: pass"
    await (await governor.launch([sys.executable, "-c", burnt], name="one", limit=FREE)).wait()
    later = first.usage()

    assert later.since(before).cpu_seconds == pytest.approx(later.cpu_seconds - before.cpu_seconds)
    assert later.since(before).cpu_seconds > 0.05  # its own start does not count where systemd places it
    assert later.since(later).cpu_seconds == later.since(later).wall_seconds == 0
    await first.kill()
    assert set(governor.usages()) == {"two"}


async def test_launch_that_is_cancelled_before_the_command_begins_leaves_nothing(
    governor, monkeypatch, until, tmp_path
):
    placing, placed = threading.Event(), threading.Event()
    make = governor._backend.group

    def slow(name):
        group = make(name)
        admit = group.admit

        def admit_slowly(pid):
            placing.set()
            placed.wait(30)
            admit(pid)

        monkeypatch.setattr(group, "admit", admit_slowly)
        return group

    monkeypatch.setattr(governor._backend, "group", slow)
    mark = tmp_path / "begun"
    launching = asyncio.ensure_future(governor.launch(["touch", str(mark)], name="one", limit=FREE))
    await asyncio.to_thread(placing.wait, 30)
    launching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launching
    placed.set()

    await until(lambda: governor.usage("one") is None)
    assert not mark.exists()


async def test_close_ends_what_runs(open_governor, backend):
    governor = await open_governor(backend=backend)
    started = await governor.launch(["sleep", "300"], name="one", limit=FREE)
    await governor.close()

    assert not alive(started.pid)


async def test_process_of_the_daemon_itself_belongs_to_no_group(governor):
    own = subprocess.Popen(["sleep", "300"])
    try:
        started = await governor.launch(["sleep", "300"], name="one", limit=FREE)
        await started.kill()
        assert own.poll() is None
    finally:
        own.kill()
        own.wait()


async def test_nothing_is_called_enforced_without_a_limit_or_in_account_mode(open_governor, backend):
    governor = await open_governor(backend=backend, mode="account")
    started = await governor.launch(["sleep", "300"], name="one", limit=Limit(5))
    assert not started.usage().enforced
    assert "not enforced" in str(governor.choice)
    await started.kill()

    governor = await open_governor(backend=backend)
    started = await governor.launch(["sleep", "300"], name="one", limit=FREE)
    assert not started.usage().enforced
    await governor.limit("one", Limit(5))
    assert started.usage().enforced is (backend != "none")
    await started.kill()


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\nb"])
async def test_name_that_is_a_path_is_refused(governor, name):
    with pytest.raises(ValueError, match="no name for a group"):
        await governor.launch(["true"], name=name, limit=FREE)
