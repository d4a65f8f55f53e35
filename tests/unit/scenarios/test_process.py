"""Processes of a bed: real ones."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap

import pytest

from arcbed.harness import ProcessDiedError
from arcbed.harness.process import Child, run

ENV = {"PATH": os.environ["PATH"]}
SLEEPER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
IGNORES_SIGTERM = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True:
    signal.pause()
"""
STUBBORN = [sys.executable, "-c", IGNORES_SIGTERM]


def gone(pid: int) -> bool:
    """Whether a process that is not our child has ended, waiting for it up to ten seconds."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 10)[0])
    finally:
        os.close(handle)


async def test_run_gives_exit_code_and_both_streams(tmp_path):
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(42)"
    done = await run([sys.executable, "-c", code], env=ENV)
    assert (done.exit_code, done.stdout, done.stderr) == (42, "out\n", "err\n")


async def test_run_beyond_its_limit_is_killed():
    done = await run(SLEEPER, env=ENV, limit=0.2)
    assert done.exit_code == -signal.SIGKILL
    assert done.seconds < 10


async def test_run_shows_what_it_is_told_to():
    done = await run([sys.executable, "-c", "", "secret"], env=ENV, shown=["tool", "***"])
    assert done.arguments == ("tool", "***")


async def test_run_at_a_terminal_gives_what_stays_on_the_screen():
    code = r"""
import sys
print(sys.stdout.isatty(), sys.stderr.isatty())
print("\x1b[36mINFO\x1b[0m 10%\r100%", file=sys.stderr)
sys.exit(5)
"""
    done = await run([sys.executable, "-c", code], env=ENV, terminal=True)
    assert (done.stdout, done.stderr, done.exit_code) == ("True True\n100%\n", "", 5)


async def test_run_at_a_terminal_beyond_its_limit_is_killed():
    done = await run(SLEEPER, env=ENV, limit=0.2, terminal=True)
    assert done.exit_code == -signal.SIGKILL


async def test_child_that_ends_by_itself_is_reported_with_its_log(tmp_path):
    child = Child("tool", [sys.executable, "-c", "print('why'); exit(3)"], env=ENV, log=tmp_path / "log")
    await child.start()
    await child._process.wait()
    assert not child.alive
    assert isinstance(child.died(), ProcessDiedError)
    assert str(child.died()) == "tool ended with exit code 3\nwhy"
    with pytest.raises(ProcessDiedError):
        _ = child.pid


async def test_child_is_stopped_with_sigterm(tmp_path):
    child = Child("tool", SLEEPER, env=ENV, log=tmp_path / "log")
    await child.start()
    pid = child.pid
    await child.stop()
    assert not child.alive
    assert gone(pid)


async def test_child_that_ignores_sigterm_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("arcbed.harness.process.GRACE", 0.3)
    child = Child("tool", STUBBORN, env=ENV, log=tmp_path / "log")
    await child.start()
    pid = child.pid
    await child.stop()
    assert gone(pid)


def test_children_die_with_a_parent_that_is_killed(tmp_path):
    parent = tmp_path / "parent.py"
    parent.write_text(
        textwrap.dedent(f"""
        import asyncio, sys
        from pathlib import Path
        from arcbed.harness.process import Child

        async def main():
            child = Child("tool", {SLEEPER!r}, env={ENV!r}, log=Path({str(tmp_path / "log")!r}))
            await child.start()
            print(child.pid, flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
        """)
    )
    process = subprocess.Popen([sys.executable, str(parent)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    assert gone(pid)
