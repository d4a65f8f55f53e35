"""Archives: what is unpacked, repaired and removed, and what is refused."""

from __future__ import annotations

import tarfile
import zipfile

import pytest

from .conftest import details


@pytest.fixture(params=["zip", "tar"])
def archive(request, tree):
    """An archive of two files in the tree."""
    path = tree.path(f"/tmp/a.{request.param}")
    path.parent.mkdir(parents=True, exist_ok=True)
    tree.file("/tmp/x", "1").file("/tmp/y", "2")
    if request.param == "zip":
        with zipfile.ZipFile(path, "w") as made:
            made.write(tree.path("/tmp/x"), "x")
            made.write(tree.path("/tmp/y"), "sub/y")
    else:
        with tarfile.open(path, "w:gz") as made:
            made.add(tree.path("/tmp/x"), "x")
            made.add(tree.path("/tmp/y"), "sub/y")
    return f"/tmp/{path.name}"


def test_archive_is_unpacked_repaired_and_removed(apply, audit, tree, archive):
    wanted = {"SourcePath": archive, "DestinationPath": "/opt/app"}
    tree.folder("/opt")

    assert details(audit("nxArchive", **wanted)) == ["Contents"]
    assert apply("nxArchive", **wanted).compliance_status == "Compliant"
    assert tree.path("/opt/app/sub/y").read_text() == "2"
    tree.file("/opt/app/sub/y", "drift")
    assert details(audit("nxArchive", **wanted)) == ["Contents"]
    apply("nxArchive", **wanted)
    assert tree.path("/opt/app/sub/y").read_text() == "2"
    apply("nxArchive", Ensure="Absent", **wanted)
    assert not tree.path("/opt/app/x").exists()


def test_archive_that_would_leave_its_folder_is_refused(apply, tree):
    with tarfile.open(tree.path("/evil.tar"), "w") as made:
        made.add(tree.path("/etc/passwd"), "../../evil")

    result = apply("nxArchive", SourcePath="/evil.tar", DestinationPath="/opt")

    assert details(result) == ["SourceUnreadable"]
    assert not list(tree.root.parent.rglob("evil"))


@pytest.mark.parametrize(
    "links",
    [{"a": "/etc/passwd"}, {"a": "../../etc/passwd"}, {"a": "b", "b": "a"}],
    ids=["absolute", "up", "ring"],
)
def test_archive_whose_links_lead_nowhere_in_it_is_refused(apply, tree, links):
    with tarfile.open(tree.path("/links.tar"), "w") as made:
        for name, target in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            made.addfile(member)

    result = apply("nxArchive", SourcePath="/links.tar", DestinationPath="/opt")

    assert details(result) == ["SourceUnreadable"]


def test_missing_archive_is_a_reason(audit):
    assert details(audit("nxArchive", SourcePath="/none", DestinationPath="/opt")) == ["SourcePathNotFound"]
