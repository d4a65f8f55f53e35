"""The cgroup v2 back end on a tree of files that follows the kernel's rules."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from arcbed_agent.governor import files
from arcbed_agent.governor.cgroup2 import Cgroup2
from arcbed_agent.governor.contract import GovernorError

OWN = 4711


class FakeKernel:
    """A cgroup v2 tree: groups appear with their files, processes are in one group, no internal processes.

    Args:
        root: where it is mounted.
        top: the root group is the root of the whole tree, not that of a container.
        controllers: that the root group has.
    """

    def __init__(self, root: Path, *, top: bool = False, controllers: str = "cpuset cpu io memory") -> None:
        self.root = root
        self._fill(root, controllers, top=top)
        self.put(OWN, root)

    def _fill(self, path: Path, controllers: str, *, top: bool = False) -> None:
        path.mkdir()
        self._set(path / "cgroup.controllers", controllers)
        self._set(path / "cgroup.subtree_control", "")
        self._set(path / "cgroup.procs", "")
        if not top:
            self._set(path / "cgroup.type", "domain")
            self._set(path / "cgroup.kill", "")
            if "cpu" in controllers.split():
                self._hand_cpu(path)

    def _hand_cpu(self, path: Path) -> None:
        self._set(path / "cpu.max", "max 100000")
        self._set(path / "cpu.stat", "usage_usec 0\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0")

    @staticmethod
    def _set(path: Path, text: str) -> None:
        path.write_text(f"{text}\n" if text else "")

    def procs(self, path: Path) -> set[int]:
        return {int(line) for line in (path / "cgroup.procs").read_text().split()}

    def put(self, pid: int, path: Path) -> None:
        for file in self.root.rglob("cgroup.procs"):
            self._set(file, "\n".join(map(str, sorted(self.procs(file.parent) - {pid}))))
        self._set(path / "cgroup.procs", "\n".join(map(str, sorted(self.procs(path) | {pid}))))

    # -- what the governor calls

    def make(self, path: Path) -> None:
        for folder in (*reversed(path.parents), path):
            if folder.is_relative_to(self.root) and not folder.exists():
                self._fill(folder, (folder.parent / "cgroup.subtree_control").read_text().strip())

    def write(self, path: Path, value: str) -> None:
        if not path.exists():
            raise GovernorError(f"cannot write {value!r} to {path}: No such file or directory")
        if path.name == "cgroup.procs":
            if "cpu" in (path.parent / "cgroup.subtree_control").read_text() and self._inner(path.parent):
                raise GovernorError(f"cannot write {value!r} to {path}: Device or resource busy")
            return self.put(int(value), path.parent)
        if path.name == "cgroup.subtree_control":
            if self._inner(path.parent) and self.procs(path.parent):
                raise GovernorError(f"cannot write {value!r} to {path}: Device or resource busy")
            self._set(path, value.removeprefix("+"))
            for child in path.parent.iterdir():
                if child.is_dir():
                    self._hand_cpu(child)
            return None
        if path.name == "cgroup.kill":
            return self._set(path.parent / "cgroup.procs", "")
        return self._set(path, value)

    @staticmethod
    def _inner(path: Path) -> bool:
        return (path / "cgroup.type").exists()

    def remove(self, path: Path) -> bool:
        if not path.exists():
            return True
        if any(self.procs(folder) for folder in (path, *path.rglob("*")) if folder.is_dir()):
            return False
        shutil.rmtree(path)
        return True


def proc_files(tmp_path: Path, root: Path, own: str, *, mount_root: str = "/") -> Path:
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self/mountinfo").write_text(f"30 23 0:26 {mount_root} {root} rw - cgroup2 cgroup2 rw\n")
    (proc / "self/cgroup").write_text(f"0::{own}\n")
    return proc


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Makes the tree."""

    def make(**how) -> FakeKernel:
        made = FakeKernel(tmp_path / "tree", **how)
        for name in ("make", "write", "remove"):
            monkeypatch.setattr(files, name, getattr(made, name))
        return made

    return make


@pytest.fixture
def opened(kernel, tmp_path):
    """The back end in a container whose group is the root of its namespace."""
    tree = kernel()
    return tree, Cgroup2.probe("arc/gcad", proc=proc_files(tmp_path, tree.root, "/"))


def test_probe_in_a_container_moves_its_processes_to_a_leaf_and_hands_cpu_down(opened):
    tree, backend = opened

    assert tree.procs(tree.root) == set()
    assert tree.procs(tree.root / "arc-init") == {OWN}
    assert (tree.root / "arc/gcad/cgroup.subtree_control").read_text() == "cpu\n"
    assert not (tree.root / "arc/gcad/probe").exists()
    assert backend.reason == f"cpu controller of cgroup v2 writable at {tree.root}"


def test_probe_at_the_root_of_the_tree_leaves_processes_where_they_are(kernel, tmp_path):
    tree = kernel(top=True)
    Cgroup2.probe("arc/gcad", proc=proc_files(tmp_path, tree.root, "/"))

    assert tree.procs(tree.root) == {OWN}


def test_second_daemon_in_the_leaf_finds_the_groups_beside_it(opened, tmp_path):
    tree, _ = opened
    (tmp_path / "proc/self/cgroup").write_text("0::/arc-init\n")
    second = Cgroup2.probe("arc/extd", proc=tmp_path / "proc")

    assert second.group("one").where == "/arc/extd/one"
    assert (tree.root / "arc/extd").is_dir()


def test_tree_without_the_cpu_controller_is_refused(kernel, tmp_path):
    tree = kernel(controllers="memory pids")

    with pytest.raises(GovernorError, match="no cpu controller at"):
        Cgroup2.probe("arc/gcad", proc=proc_files(tmp_path, tree.root, "/"))


def test_group_that_is_not_in_the_file_system_is_refused(kernel, tmp_path):
    tree = kernel()

    with pytest.raises(GovernorError, match="is not at"):
        Cgroup2.probe("arc/gcad", proc=proc_files(tmp_path, tree.root, "/docker/abc"))


def test_read_only_tree_is_refused_with_the_kernels_words(tmp_path, kernel, monkeypatch):
    tree = kernel()

    def refuse(path, value):
        raise GovernorError(f"cannot write {value!r} to {path}: Read-only file system")

    monkeypatch.setattr(files, "write", refuse)
    with pytest.raises(GovernorError, match=r"cannot hand its cpu controller down: .*Read-only"):
        Cgroup2.probe("arc/gcad", proc=proc_files(tmp_path, tree.root, "/"))


@pytest.mark.parametrize(
    ("cores", "text"),
    [
        (0.05, "5000 100000"),
        (0.6, "60000 100000"),
        (1.5, "150000 100000"),
        (0.001, "1000 100000"),
        (None, "max 100000"),
    ],
)
def test_limit_is_written_as_quota_and_period(opened, cores, text):
    tree, backend = opened
    group = backend.group("one")
    group.make()
    group.hold(cores)

    assert (tree.root / "arc/gcad/one/cpu.max").read_text().strip() == text
    assert group.is_held(0.05) is (cores is not None and cores <= 0.05)


def test_account_is_read_in_seconds_and_outlives_the_group(opened):
    tree, backend = opened
    group = backend.group("one")
    group.make()
    tree._set(
        tree.root / "arc/gcad/one/cpu.stat",
        "usage_usec 1250000\nuser_usec 1\nnr_periods 60\nnr_throttled 59\nthrottled_usec 5500000",
    )
    before = group.counters()
    assert group.remove()

    assert (before.cpu, before.throttled, before.periods, before.throttled_periods) == (1.25, 5.5, 60, 59)
    assert group.counters() == before


def test_process_is_admitted_found_killed_and_the_group_removed(opened, tmp_path):
    tree, backend = opened
    group = backend.group("one")
    group.make()
    group.admit(99)

    assert group.pids() == {99}
    assert not group.remove()
    group.kill()
    assert group.remove()
    assert not (tree.root / "arc/gcad/one").exists()


def test_process_joins_a_group_that_hands_the_controller_down_in_a_leaf(opened):
    tree, backend = opened
    group = backend.group("one")
    group.make()
    files.write(tree.root / "arc/gcad/one/cgroup.subtree_control", "+cpu")
    group.admit(99)

    assert tree.procs(tree.root / "arc/gcad/one/arc-init") == {99}
    assert group.pids() == {99}


def test_group_that_is_gone_takes_no_process(opened):
    _, backend = opened

    with pytest.raises(GovernorError):
        backend.group("one").admit(99)


@pytest.mark.parametrize(
    ("line", "inside"),
    [
        ("0::/arc/gcad/one\n", True),
        ("0::/arc/gcad/one/sub\n", True),
        ("0::/arc/gcad/one2\n", False),
        ("0::/\n", False),
    ],
)
def test_process_is_inside_its_group_and_those_below(opened, tmp_path, line, inside):
    _, backend = opened
    (tmp_path / "proc/99").mkdir()
    (tmp_path / "proc/99/cgroup").write_text(line)

    assert backend.group("one").holds(99) is inside
    assert backend.group("one").holds(100)
