"""Files, folders and links: what is found, what is corrected, and which reasons are given.

The machine is a folder.
"""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from arcbed_agent.gcad.dsc.families.modes import changed_mode, symbolic

from .conftest import details, mode_of


@pytest.mark.parametrize("name", ["nxFile", "NXFILE", "MSFT_nxFileResource"])
def test_file_is_created_with_contents_and_mode_and_no_added_newline(apply, tree, name):
    result = apply(name, DestinationPath="/etc/new.conf", Contents="a = 1", Mode="0640")

    assert result.compliance_status == "Compliant"
    assert tree.path("/etc/new.conf").read_bytes() == b"a = 1"
    assert mode_of(tree.path("/etc/new.conf")) == 0o640


def test_file_differing_in_everything_gives_a_reason_for_each(audit, tree):
    tree.file("/a", "old", 0o644)

    result = audit("nxFile", DestinationPath="/a", Contents="new", Mode="600", Owner="daemon", Group="daemon")

    assert details(result) == ["Contents", "Mode", "Owner", "Group"]
    assert result.reasons[0].code == "nxFile:nxFile:Contents"
    assert result.properties["Mode"] == "0644"
    assert result.properties["Owner"] == "root"


def test_file_that_is_as_desired_is_left_alone(apply, tree):
    tree.file("/a", "same", 0o644)
    before = tree.path("/a").stat()

    result = apply(
        "nxFile", DestinationPath="/a", Contents="same", Mode="rw-r--r--", Owner="root", Group="root"
    )

    assert result.compliance_status == "Compliant"
    assert tree.path("/a").stat().st_mtime_ns == before.st_mtime_ns


def test_correcting_contents_keeps_the_mode(apply, tree):
    tree.file("/a", "old", 0o600)

    apply("nxFile", DestinationPath="/a", Contents="new")

    assert (tree.path("/a").read_text(), mode_of(tree.path("/a"))) == ("new", 0o600)


def test_empty_contents_are_contents(apply, tree):
    tree.file("/a", "old")

    apply("nxFile", DestinationPath="/a", Contents="")

    assert tree.path("/a").read_text() == ""


def test_parents_are_made_only_with_force(apply, tree):
    refused = apply("nxFile", DestinationPath="/x/y/a", Contents="1")
    made = apply("nxFile", DestinationPath="/x/y/a", Contents="1", Force=True)

    assert details(refused) == ["Ensure", "SetFailed"]
    assert (made.compliance_status, tree.path("/x/y/a").read_text()) == ("Compliant", "1")


@pytest.mark.parametrize(("there", "wanted"), [("folder", "File"), ("file", "Directory"), ("file", "Link")])
def test_item_of_another_type_is_never_replaced(apply, tree, there, wanted):
    getattr(tree, there)("/thing")

    result = apply("nxFile", DestinationPath="/thing", Type=wanted, SourcePath="/etc/passwd")

    assert details(result) == ["Type", "SetFailed"]
    assert tree.path("/thing").is_dir() is (there == "folder")


def test_absent_removes_a_file_but_not_a_folder_of_its_name(apply, tree):
    tree.file("/a").folder("/b")

    assert apply("nxFile", DestinationPath="/a", Ensure="Absent").compliance_status == "Compliant"
    assert apply("nxFile", DestinationPath="/b", Ensure="Absent").compliance_status == "Compliant"

    assert not tree.path("/a").exists()
    assert tree.path("/b").is_dir()


def test_folder_is_made_and_removed(apply, tree):
    apply("nxFile", DestinationPath="/d", Type="directory", Mode="2755")
    assert mode_of(tree.path("/d")) == 0o2755
    tree.file("/d/inside")

    refused = apply("nxFile", DestinationPath="/d", Type="Directory", Ensure="Absent")
    removed = apply("nxFile", DestinationPath="/d", Type="Directory", Ensure="Absent", Force=True)

    assert details(refused) == ["Ensure", "SetFailed"]
    assert removed.compliance_status == "Compliant"


def test_folder_is_copied_from_its_source_and_drift_inside_is_found(apply, audit, tree):
    tree.file("/src/a", "1").file("/src/sub/b", "2")
    wanted = {"DestinationPath": "/dst", "Type": "Directory", "SourcePath": "/src", "Recurse": True}

    assert apply("nxFile", **wanted).compliance_status == "Compliant"
    assert tree.path("/dst/sub/b").read_text() == "2"
    tree.file("/dst/sub/b", "drift")

    assert details(audit("nxFile", **wanted)) == ["Contents"]


def test_link_leads_where_it_should(apply, audit, tree):
    apply("nxFile", DestinationPath="/l", Type="Link", SourcePath="/etc/passwd")
    assert str(tree.path("/l").readlink()) == "/etc/passwd"

    other = {"DestinationPath": "/l", "Type": "Link", "SourcePath": "/etc/group"}
    assert details(audit("nxFile", **other)) == ["SourcePath"]
    assert apply("nxFile", **other).compliance_status == "Compliant"


@pytest.mark.parametrize("method", ["md5", "mtime"])
def test_file_follows_its_source_by_checksum(apply, audit, tree, method):
    tree.file("/src", "new")
    os.utime(tree.path("/src"), (1_000_000, 1_000_000))
    tree.file("/a", "old")
    wanted = {"DestinationPath": "/a", "SourcePath": "/src", "Checksum": method, "Contents": "ignored"}

    assert details(audit("nxFile", **wanted)) == ["Checksum"]
    assert apply("nxFile", **wanted).compliance_status == "Compliant"
    assert tree.path("/a").read_text() == "new"


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
def test_literal_checksum_is_recognised_by_its_length(audit, tree, algorithm):
    tree.file("/a", "content")
    digest = hashlib.new(algorithm, b"content").hexdigest().upper()

    assert audit("nxFile", DestinationPath="/a", Checksum=digest).compliance_status == "Compliant"
    assert details(audit("nxFile", DestinationPath="/a", Checksum="0" * len(digest))) == ["Checksum"]


def test_source_that_is_missing_is_a_reason(audit, tree):
    tree.file("/a")

    result = audit("nxFile", DestinationPath="/a", SourcePath="/none", Checksum="md5")

    assert details(result) == ["SourcePathNotFound"]


def test_unknown_owner_is_a_reason(apply):
    result = apply("nxFile", DestinationPath="/a", Contents="", Owner="nobody-here")

    assert "SetFailed" in details(result)


@pytest.mark.parametrize(
    ("text", "before", "folder", "after"),
    [
        ("644", 0o777, False, 0o644),
        ("2755", 0, True, 0o2755),
        ("rwxr-x---", 0, False, 0o750),
        ("rwsr-sr-t", 0, False, 0o7755),
        ("u=rwx,g=rx,o=", 0o777, False, 0o750),
        ("go-w", 0o666, False, 0o644),
        ("a+x", 0o644, False, 0o755),
        ("+X", 0o644, False, 0o644),
        ("+X", 0o644, True, 0o755),
        ("u+s", 0o755, False, 0o4755),
    ],
)
def test_mode_is_what_chmod_would_make_of_it(text, before, folder, after):
    assert changed_mode(text, before, folder=folder) == after


@pytest.mark.parametrize("text", ["", "9", "88888", "rwx", "u~w", "u=q"])
def test_what_is_no_mode_is_refused(text):
    with pytest.raises(ValueError, match="is not a file mode"):
        changed_mode(text, 0, folder=False)


def test_mode_is_shown_as_ls_shows_it():
    assert symbolic(0o4755) == "rwsr-xr-x"


def test_test_file_says_what_is_wrong_and_what_is_right(audit, tree):
    tree.file("/a", "x")

    assert details(audit("TestFile", Path="/none", Content="x")) == ["FileNotExists"]
    assert details(audit("TestFile", Path="/a", Content="y")) == ["ContentMismatch"]
    assert details(audit("TestFile", Path="/a", Content="x")) == ["Compliant"]


def test_pipe_is_neither_read_nor_taken_for_a_file(audit, tree):
    os.mkfifo(tree.path("/pipe"))

    assert details(audit("nxFile", DestinationPath="/pipe", Contents="x")) == ["Type"]
    assert details(audit("nxFileLine", FilePath="/pipe", ContainsLine="x")) == ["FileNotFound"]
    assert details(audit("TestFile", Path="/pipe", Content="x")) == ["FileNotExists"]


def test_root_of_the_machine_is_never_removed(apply, tree):
    result = apply("nxFile", DestinationPath="/", Type="Directory", Ensure="Absent", Force=True)

    assert details(result)[-1] in {"SetFailed", "ChangeRefused"}
    assert tree.path("/etc/passwd").exists()


def test_file_that_is_not_utf8_can_still_be_reported(audit, tree):
    tree.path("/a").write_bytes(b"\xff\xfe latin")

    for result in (
        audit("TestFile", Path="/a", Content="x"),
        audit("nxFile", DestinationPath="/a", Contents="x"),
    ):
        json.dumps(result.properties, ensure_ascii=False).encode()
        "".join(reason.phrase for reason in result.reasons).encode()


def test_large_text_is_cut_in_the_report(audit, tree):
    tree.file("/a", "x" * 100_000)

    assert len(audit("TestFile", Path="/a", Content="y").properties["Content"]) == 8192
