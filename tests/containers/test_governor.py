"""CPU limits inside containers: the tests of the governor, run by the container's own Python.

With systemd as PID 1 the whole set; without any right to a cgroup, as root and as a normal user, signals.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from engine import AGENT, Container, container, docker

pytestmark = [pytest.mark.containers, pytest.mark.long]
ROOT = Path(__file__).parents[2]
SYSTEMD = Path("/sys/fs/cgroup/systemd")
SHARED = ("--volume", f"{ROOT}:/src:ro", "--volume", f"{sysconfig.get_path('purelib')}:/site:ro")
KEPT = "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETGID SETPCAP SETUID SYS_CHROOT"


def run_tests(made: Container, *arguments: str, user: str = "root", room: str = "governor") -> str:
    """pytest inside, on this checkout and with the packages of this environment; the end of what it says.

    Args:
        made: where.
        arguments: of pytest.
        user: who runs it.
        room: whose tests, below tests/unit.
    """
    command = [
        *("docker", "exec", "--user", user, "--env", "PYTHONPATH=/src/agent:/src/fakecloud:/site"),
        *("--env", "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1", "--env", "PYTHONDONTWRITEBYTECODE=1", made.name),
        *("python3", "-m", "pytest", "-q", "-p", "pytest_asyncio.plugin", "-p", "pytest_timeout"),
        *("-p", "no:cacheprovider", "-c", "/src/pyproject.toml", "--rootdir=/src"),
        f"--confcutdir=/src/tests/unit/{room}",
        *arguments,
    ]
    done = docker(*command[1:], check=False, timeout=400)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout[-3000:]


@contextmanager
def with_systemd() -> Iterator[Container]:
    """A machine whose PID 1 is systemd, with a part of the cgroup tree of its own."""
    group = f"/arcbed-test-{os.getpid()}"
    folders = [Path(f"/sys/fs/cgroup/{name}{group}") for name in ("systemd", "cpu", "cpuacct")]
    mounts = [word for folder in folders for word in ("--volume", f"{folder.parent}:{folder.parent}:ro")]
    mounts += [word for folder in folders for word in ("--volume", f"{folder}:{folder}:rw")]
    caps = ["--cap-drop", "ALL", *(word for name in KEPT.split() for word in ("--cap-add", name))]
    tmpfs = [word for path in ("/sys/fs/cgroup:mode=755", "/run", "/run/lock") for word in ("--tmpfs", path)]
    options = [
        "--env",
        "ARC_INIT=systemd",
        "--cgroupns",
        "host",
        "--cgroup-parent",
        group,
        "--network",
        "none",
    ]
    for folder in folders:
        folder.mkdir()
    try:
        with container(AGENT, *options, *caps, *tmpfs, *mounts, *SHARED) as made:
            made.wait("systemctl is-system-running | grep -x running")
            yield made
    finally:
        for tree in Path("/sys/fs/cgroup").glob(f"*{group}"):
            for folder, _, _ in os.walk(tree, topdown=False):
                Path(folder).rmdir()


def left_behind(made: Container) -> str:
    """Groups and slices of tests; those of the machine's own daemons have no hash in their names.

    Only in the machine's own part of the tree: the rest, which it sees too, is the computer's.
    """
    own = f"/sys/fs/cgroup/*/arcbed-test-{os.getpid()}"
    groups = made.sh(f"find {own} -name 'arc_*' -o -name 'arc-????????'").stdout
    return groups + made.sh("systemctl list-units --all --plain --no-legend 'arc_*'").stdout


QUICK = ("/src/tests/unit/governor/test_behaviour.py", "/src/tests/unit/governor/test_enforcement.py")


@pytest.mark.timeout(500)
@pytest.mark.skipif(not SYSTEMD.is_dir() or os.geteuid() != 0, reason="needs cgroup v1 and root")
def test_limits_hold_in_slices_of_systemd_and_nothing_is_left_behind():
    with with_systemd() as made:
        said = run_tests(made, *QUICK, "-k", "systemd or moves_itself or placed")
        assert "systemd does not run this machine" not in said
        assert left_behind(made) == ""


@pytest.mark.timeout(500)
@pytest.mark.skipif(not SYSTEMD.is_dir() or os.geteuid() != 0, reason="needs cgroup v1 and root")
def test_burner_in_a_slice_of_systemd_uses_five_percent_and_sixty_in_the_window():
    measured = "five_percent_of_a_core or installation_window"
    with with_systemd() as made:
        run_tests(made, "/src/tests/unit/governor/test_measured.py", "-k", f"systemd and ({measured})")


@pytest.mark.timeout(500)
@pytest.mark.skipif(not SYSTEMD.is_dir() or os.geteuid() != 0, reason="needs cgroup v1 and root")
def test_policies_are_evaluated_in_a_slice_of_systemd():
    with with_systemd() as made:
        said = run_tests(made, "/src/tests/unit/gcad/test_governed.py", room="gcad")
        assert " failed" not in said
        assert left_behind(made) == ""


@pytest.mark.timeout(500)
@pytest.mark.parametrize("user", ["root", "1000:1000"])
def test_limits_hold_by_signals_in_a_container_without_rights(user):
    with container(AGENT, "--network", "none", *SHARED) as made:
        said = run_tests(made, *QUICK, "-k", "signals or choice", user=user)
        assert " failed" not in said
        choice = made.run("env", "PYTHONPATH=/src/agent:/site", "python3", "-c", SHOW).stdout
        assert choice.startswith("signals (enforced): process trees are stopped and continued; not systemd")


SHOW = """
import asyncio
from pathlib import Path
from arcbed_agent.clock import SystemClock
from arcbed_agent.governor import Wishes, choose
async def show():
    governor = await choose(Wishes(), owner="gcad", root=Path("/"), clock=SystemClock())
    print(governor.choice)
    await governor.close()
asyncio.run(show())
"""
