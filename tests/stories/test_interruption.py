"""However a run ends, nothing of it goes on."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


def descendants(pid: int) -> set[int]:
    """Every process below `pid`, by the kernel's own lists."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found |= {child, *descendants(child)}
    return found


def ended(pid: int) -> bool:
    """Whether `pid` has ended, waiting up to fifteen seconds."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 15)[0])
    finally:
        os.close(handle)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_run_that_is_interrupted_leaves_no_process(tmp_path, number, code):
    # The folder's name is long enough for Unix sockets to need care.
    place = tmp_path / ("long-" * 20)
    place.mkdir()
    # A shell's background jobs ignore Ctrl+C, and so would what they start.
    heard = ["env", "--default-signal=INT"]
    run = subprocess.Popen(
        [*heard, BIN / "arcbed", "run", "onboarding", "--report", tmp_path / "report"],
        env={**os.environ, "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert run.stdout is not None
    for line in run.stdout:
        if line.lstrip().startswith("ok"):
            break
    children = descendants(run.pid)

    run.send_signal(number)
    run.stdout.read()
    run.stdout.close()

    assert run.wait(30) == code
    assert len(children) >= 2
    assert [pid for pid in children if not ended(pid)] == []
    if number != signal.SIGKILL:
        assert list(place.iterdir()) == []
