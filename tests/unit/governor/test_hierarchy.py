# ruff: noqa: E501 - lines of the kernel are as long as they are
"""Finding the own group from mountinfo and /proc/PID/cgroup, with lines as real systems have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed_agent.governor.contract import GovernorError
from arcbed_agent.governor.hierarchy import Membership, folder, memberships, mounts, path_in

DOCKER_ID = "8b1f0c6d3b0e5b0d0c6f2c6d4a1e9f7b3c5d7e9f1a3b5c7d9e1f3a5b7c9d1e3f"

#: name: mountinfo, cgroup, controller, expected folder (or words of the refusal).
SAMPLES = {
    "docker on v1": (
        f"""\
626 615 0:27 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
631 629 0:29 /docker/{DOCKER_ID} /sys/fs/cgroup/systemd ro,nosuid,nodev,noexec,relatime master:11 - cgroup cgroup rw,xattr,name=systemd
634 629 0:33 /docker/{DOCKER_ID} /sys/fs/cgroup/cpu,cpuacct ro,nosuid,nodev,noexec,relatime master:16 - cgroup cgroup rw,cpu,cpuacct
""",
        f"11:memory:/docker/{DOCKER_ID}\n4:cpu,cpuacct:/docker/{DOCKER_ID}\n1:name=systemd:/docker/{DOCKER_ID}\n",
        "cpu",
        "/sys/fs/cgroup/cpu,cpuacct",
    ),
    "docker on v1 with the host's tree bound": (
        "700 699 0:33 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n",
        f"4:cpu,cpuacct:/docker/{DOCKER_ID}\n",
        "cpuacct",
        f"/sys/fs/cgroup/cpu,cpuacct/docker/{DOCKER_ID}",
    ),
    "docker on v1 with a cgroup namespace of its own and the host's tree bound": (
        "700 699 0:33 /../.. /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n",
        "4:cpu,cpuacct:/\n",
        "cpu",
        "shows /../.., not own group /",
    ),
    "docker on v1, nested in docker": (
        f"""\
811 800 0:33 /docker/{DOCKER_ID}/docker/{DOCKER_ID} /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct
""",
        f"4:cpu,cpuacct:/docker/{DOCKER_ID}/docker/{DOCKER_ID}/init\n",
        "cpu",
        "/sys/fs/cgroup/cpu,cpuacct/init",
    ),
    "docker on v2": (
        "1107 1103 0:29 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate,memory_recursiveprot\n",
        "0::/\n",
        None,
        "/sys/fs/cgroup",
    ),
    "docker on v2 in the host's namespace": (
        "1107 1103 0:29 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n",
        f"0::/system.slice/docker-{DOCKER_ID}.scope\n",
        None,
        f"/sys/fs/cgroup/system.slice/docker-{DOCKER_ID}.scope",
    ),
    "docker on v2, moved out of the namespace": (
        "1107 1103 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
        "0::/../other\n",
        None,
        "outside the cgroup namespace",
    ),
    "GitHub runner, Ubuntu 22.04": (
        "35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
        "0::/system.slice/hosted-compute-agent.service\n",
        None,
        "/sys/fs/cgroup/system.slice/hosted-compute-agent.service",
    ),
    "WSL 2, hybrid": (
        """\
112 103 0:63 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:27 - tmpfs tmpfs ro,size=4096k,nr_inodes=1024,mode=755
113 112 0:21 / /sys/fs/cgroup/unified rw,nosuid,nodev,noexec,relatime shared:28 - cgroup2 cgroup2 rw,nsdelegate
119 112 0:55 / /sys/fs/cgroup/cpu rw,nosuid,nodev,noexec,relatime shared:35 - cgroup cgroup rw,cpu
122 112 0:56 / /sys/fs/cgroup/cpuacct rw,nosuid,nodev,noexec,relatime shared:37 - cgroup cgroup rw,cpuacct
""",
        "14:name=systemd:/\n3:cpuacct:/\n2:cpu:/\n0::/\n",
        "cpuacct",
        "/sys/fs/cgroup/cpuacct",
    ),
    "WSL 2, unified": (
        "94 86 0:28 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
        "0::/user.slice/user-1000.slice/session-c1.scope\n",
        None,
        "/sys/fs/cgroup/user.slice/user-1000.slice/session-c1.scope",
    ),
    "rootless Podman on v2": (
        "1294 1290 0:26 /user.slice/user-1000.slice/user@1000.service/user.slice/libpod-77a1.scope/container /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw,nsdelegate\n",
        "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-77a1.scope/container\n",
        None,
        "/sys/fs/cgroup",
    ),
    "Podman on v1": (
        "977 970 0:31 /machine.slice/libpod-5c.scope /sys/fs/cgroup/cpu,cpuacct ro,relatime - cgroup cgroup rw,seclabel,cpu,cpuacct\n",
        "9:cpu,cpuacct:/machine.slice/libpod-5c.scope\n",
        "cpu",
        "/sys/fs/cgroup/cpu,cpuacct",
    ),
    "a folder with a blank": (
        r"94 86 0:28 /my\040group /mnt/c\134groups\011here rw - cgroup2 cgroup2 rw" + "\n",
        "0::/my group/inner (deleted)\n",
        None,
        "/mnt/c\\groups\there/inner",
    ),
    "v1 without the cpu controller": (
        "631 629 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
        "4:cpu,cpuacct:/\n",
        "cpu",
        "no cgroup v1 tree with cpu is mounted",
    ),
    "the kernel has no cgroups": (
        "22 27 0:21 / /proc rw,relatime - proc proc rw\n",
        "",
        "cpu",
        "no cgroup v1",
    ),
    "mounted twice, read-only and writable": (
        """\
10 1 0:29 / /sys/fs/cgroup/cpu ro,relatime - cgroup cgroup rw,cpu
11 1 0:29 / /run/cpu rw,relatime - cgroup cgroup rw,cpu
""",
        "4:cpu:/own\n",
        "cpu",
        "/run/cpu/own",
    ),
}


def find(mountinfo: str, cgroup: str, controller: str | None) -> str:
    try:
        return str(folder(mounts(mountinfo), path_in(memberships(cgroup), controller), controller))
    except GovernorError as error:
        return str(error)


@pytest.mark.parametrize("name", SAMPLES)
def test_own_group_on_a_real_system_is_found_or_refused_with_the_reason(name):
    mountinfo, cgroup, controller, expected = SAMPLES[name]
    found = find(mountinfo, cgroup, controller)

    assert found == expected if expected.startswith("/") else expected in found


ROOTS = st.lists(st.text("ab.:é \\-\t", min_size=1, max_size=4), max_size=3).map(
    lambda parts: "/" + "/".join(part for part in parts if part not in {".", ".."})
)


def escaped(text: str) -> str:
    return "".join(f"\\{ord(c):03o}" if c in " \t\n\\" else c for c in text)


def mount_line(root: str, point: str, optional: list[str], version: int) -> str:
    system = "cgroup cgroup rw,cpu" if version == 1 else "cgroup2 none rw"
    fields = ["36", "35", "0:33", escaped(root), escaped(point), "rw,noatime", *optional]
    return f"{' '.join(fields)} - {system}"


@given(
    ROOTS, ROOTS, st.lists(st.sampled_from(["shared:1", "master:7", "unbindable"])), st.sampled_from([1, 2])
)
def test_mountinfo_line_is_read_as_it_was_written(root, point, optional, version):
    (found,) = mounts(mount_line(root, point, optional, version))

    assert (found.root, found.point, found.version, found.writable) == (root, Path(point), version, True)


@given(ROOTS, ROOTS)
def test_folder_is_the_mount_point_and_the_path_below_its_root(root, below):
    path = (root.rstrip("/") + below) or "/"
    trees = mounts(mount_line(root, "/mnt", [], 2))

    assert folder(trees, path, None) == Path("/mnt") / below.lstrip("/")


@given(ROOTS, ROOTS)
def test_path_that_only_begins_like_the_root_is_not_below_it(root, below):
    trees = mounts(mount_line(root.rstrip("/") + "/x", "/mnt", [], 2))

    with pytest.raises(GovernorError):
        folder(trees, root.rstrip("/") + "/xy" + below, None)


@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(["cpu", "cpuacct", "memory", "name=systemd"]), max_size=2), ROOTS)
    )
)
def test_cgroup_lines_are_read_as_they_were_written(lines):
    lines = [(names, path) for names, path in lines if not path.endswith(" (deleted)")]
    text = "".join(f"{at}:{','.join(sorted(names))}:{path}\n" for at, (names, path) in enumerate(lines))

    assert memberships(text) == [Membership(frozenset(names), path) for names, path in lines]


@given(st.text(), st.text(), st.sampled_from(["cpu", None]))
def test_any_text_is_read_without_an_error_of_another_kind(mountinfo, cgroup, controller):
    find(mountinfo, cgroup, controller)
