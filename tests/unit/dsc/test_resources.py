"""The resources: what is found on a machine, what is corrected, and which reasons are given.

The machine is a folder; accounts, packages and units are changed for real in the container tests.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from arcbed_agent.gcad.dsc.families.modes import changed_mode, symbolic
from arcbed_agent.gcad.dsc.host import LinuxHost
from arcbed_agent.gcad.dsc.mof import Instance
from arcbed_agent.gcad.dsc.registry import resource
from arcbed_agent.gcad.dsc.resource import ResourceFault

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def details(result):
    return [reason.code.rpartition(":")[2] for reason in result.reasons]


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


# -- nxFile ------------------------------------------------------------------------------------------------


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


# -- nxFileLine and nxFileContentReplace -------------------------------------------------------------------


def test_line_that_is_found_is_a_reason_but_compliant(audit, tree):
    tree.file("/a", "one\nTwo\n")

    result = audit("nxFileLine", FilePath="/a", ContainsLine="two")

    assert (result.compliance_status, details(result)) == ("Compliant", ["LineFound"])
    assert "line number '2'" in result.reasons[0].phrase


def test_line_is_text_and_not_a_pattern(audit, tree):
    tree.file("/a", "a+b\n")

    assert audit("nxFileLine", FilePath="/a", ContainsLine="a+b").compliance_status == "Compliant"
    assert audit("nxFileLine", FilePath="/a", ContainsLine="a.b").compliance_status == "NonCompliant"


def test_case_matters_when_asked(audit, tree):
    tree.file("/a", "Two\n")

    result = audit("nxFileLine", FilePath="/a", ContainsLine="two", CaseSensitive=True)

    assert details(result) == ["LineNotFound"]


@pytest.mark.parametrize(
    ("extra", "after"),
    [
        ({}, "one\ntwo\nnew\n"),
        ({"AddLineMode": "AfterLinePatternMatch", "LinePattern": "^o.e$"}, "one\nnew\ntwo\n"),
        ({"AddLineMode": "BeforeLinePatternMatch", "LinePattern": "^o.e$"}, "new\none\ntwo\n"),
        ({"AddLineMode": "AfterLinePatternMatch", "LinePattern": "nowhere"}, "one\ntwo\nnew\n"),
        ({"DoesNotContainPattern": "^t"}, "one\nnew\n"),
    ],
)
def test_line_is_added_where_it_belongs_and_unwanted_ones_go(apply, tree, extra, after):
    tree.file("/a", "one\ntwo\n", 0o600)

    result = apply("nxFileLine", FilePath="/a", ContainsLine="new", **extra)

    assert result.compliance_status == "Compliant"
    assert (tree.path("/a").read_text(), mode_of(tree.path("/a"))) == (after, 0o600)


def test_file_of_lines_that_is_missing_or_several_is_a_reason(apply, audit, tree):
    tree.file("/d/1").file("/d/2")

    assert details(apply("nxFileLine", FilePath="/none", ContainsLine="x")) == ["FileNotFound", "SetFailed"]
    assert details(audit("nxFileLine", FilePath="/d/*", ContainsLine="x")) == ["ResolvedToMultipleFiles"]


def test_pattern_that_is_none_is_a_reason(audit, tree):
    tree.file("/a")

    assert details(audit("nxFileLine", FilePath="/a", ContainsLine="", DoesNotContainPattern="(")) == [
        "InvalidProperty"
    ]


def test_pattern_is_replaced_with_groups_of_dotnet(apply, tree):
    tree.file("/a", "port: 80\nhost: x\n")

    result = apply(
        "nxFileContentReplace",
        FilePath="/a",
        EnsureExpectedPattern="port: 8080",
        SearchPattern="(?<name>port): (\\d+)",
        ReplacementString="${name}: 8080",
    )

    assert (result.compliance_status, tree.path("/a").read_text()) == ("Compliant", "port: 8080\nhost: x\n")


def test_unwanted_pattern_is_counted_and_replaced(audit, apply, tree):
    tree.file("/a", "bad\nbad\n")
    wanted = {"FilePath": "/a", "EnsureExpectedPattern": "bad", "Ensure": "Absent"}

    result = audit("nxFileContentReplace", **wanted)
    assert details(result) == ["UndesiredPatternFound"]
    assert "2 times" in result.reasons[0].phrase

    apply("nxFileContentReplace", SearchPattern="bad", ReplacementString="$$1", **wanted)
    assert tree.path("/a").read_text() == "$1\n$1\n"


# -- groups and users --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        ({}, []),
        ({"Ensure": "Absent"}, ["Ensure"]),
        ({"Members": ["ann", "bob"]}, []),
        ({"Members": ["bob", "ann"]}, []),
        ({"Members": ["ann"]}, ["Members"]),
        ({"MembersToInclude": ["ann"]}, []),
        ({"MembersToInclude": ["ann", "eve"]}, ["MembersToInclude"]),
        ({"MembersToExclude": ["eve"]}, []),
        ({"MembersToExclude": ["bob"]}, ["MembersToExclude"]),
        ({"Force": True}, ["Members"]),
    ],
)
def test_group_is_compared_with_what_is_given(audit, tree, properties, found):
    tree.group("staff", 50, "ann,bob")

    result = audit("nxGroup", GroupName="staff", **properties)

    assert [code for code in details(result) if code != "SUCCESS"] == found
    assert result.compliance_status == ("NonCompliant" if found else "Compliant")


def test_other_group_id_is_a_reason_but_compliant(audit, tree):
    tree.group("staff", 50)

    result = audit("nxGroup", GroupName="staff", PreferredGroupID="51")

    assert (result.compliance_status, details(result)) == ("Compliant", ["PreferredGroupID"])


def test_group_of_policies_takes_members_as_text(audit, tree):
    tree.group("staff", 50, "ann,bob")

    assert (
        audit("GC_LinuxGroup", GroupName="staff", MembersAsString="ann; bob").compliance_status == "Compliant"
    )
    result = audit("GC_LinuxGroup", GroupName="staff", MembersToExcludeAsString="bob")
    assert result.reasons[0].code == "GC_LinuxGroup:GC_LinuxGroup:MembersToExclude"


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        ({}, []),
        ({"Ensure": "Absent"}, ["Ensure"]),
        ({"FullName": "Ann", "Description": "boss", "HomeDirectory": "/home/ann", "GroupID": "daemon"}, []),
        ({"GroupID": "1", "Disabled": False, "Password": "$6$s$h"}, []),
        ({"FullName": "Eve"}, ["FullName"]),
        ({"HomeDirectory": "/"}, ["HomeDirectory"]),
        ({"GroupID": "root"}, ["GroupID"]),
        ({"Disabled": True}, ["Disabled"]),
        ({"Password": "$6$s$other"}, ["Password"]),
    ],
)
def test_user_is_compared_with_what_is_given(audit, tree, properties, found):
    tree.add("/etc/passwd", "ann:x:1000:1:Ann,,,,boss:/home/ann:/bin/bash").shadow("ann", "$6$s$h:1:0:9:7:::")

    result = audit("nxUser", UserName="ann", **properties)

    assert [code for code in details(result) if code != "SUCCESS"] == found


def test_password_hashes_are_never_shown(audit, tree):
    tree.user("ann", 1000).shadow("ann", "$6$secret$hash:1:0:9:7:::")

    result = audit("nxUser", UserName="ann", Password="$6$wanted$hash")

    assert "secret" not in repr(result)
    assert "wanted" not in repr(result)


def test_missing_user_and_group_are_reasons(audit):
    assert details(audit("nxUser", UserName="eve")) == ["Ensure"]
    assert details(audit("nxGroup", GroupName="eve")) == ["Ensure"]
    assert audit("nxUser", UserName="eve", Ensure="Absent").compliance_status == "Compliant"


@pytest.mark.parametrize(
    ("exclude", "compliant"), [("ann;bob", True), ("ann; bob", True), ("ann", False), ("", False)]
)
def test_local_users_outside_the_list_are_reported(audit, tree, exclude, compliant):
    tree.user("ann", 1000).user("bob", 1001).user("locked", 1002, shell="/sbin/nologin").user("sys", 999)

    result = audit("LocalUser", Exclude=exclude)

    assert (result.compliance_status == "Compliant") is compliant
    assert result.reasons[0].code == "LocalUser:LocalUser:Accounts"
    assert ("bob" in result.reasons[0].phrase.partition("Excluded")[0]) is (not compliant)


def test_nobody_of_debian_is_reported_unless_excluded(audit, tree):
    tree.user("nobody", 65534, shell="/usr/sbin/nologin")

    assert audit("LocalUser", Exclude="").compliance_status == "NonCompliant"
    assert audit("LocalUser", Exclude="nobody").compliance_status == "Compliant"


# -- packages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        ({"Name": "curl"}, []),
        ({"Name": "curl", "Version": "7.88"}, []),
        ({"Name": "curl", "Version": "8.0"}, ["Version"]),
        ({"Name": "curl", "Ensure": "Absent"}, ["Ensure"]),
        ({"Name": "removed"}, ["Ensure"]),
        ({"Name": "removed", "Ensure": "Absent"}, []),
        ({"Name": "nothing"}, ["Ensure"]),
        ({"Name": "-o evil"}, ["InvalidProperty"]),
        ({"Name": "curl", "Version": "1;rm"}, ["InvalidProperty"]),
    ],
)
def test_package_is_compared_with_dpkg_s_state(audit, tree, properties, found):
    tree.package("curl", "7.88").package("removed", status="deinstall ok config-files")

    result = audit("MSFT_nxPackageResource", **properties)

    assert [code for code in details(result) if code != "SUCCESS"] == found


def test_package_of_rpm_is_found(audit, tree):
    tree.gone("/var/lib/dpkg/status").prints(
        "rpm",
        "--root",
        str(tree.root.resolve()),
        "-qa",
        "--queryformat",
        r"%{NAME} %{VERSION}-%{RELEASE}\n",
        out="bash 5.1-2\ncurl 7.76-1.el9\n",
    )

    result = audit("nxPackage", Name="curl", Version="7.76-1.el9")

    assert (result.compliance_status, result.properties["PackageType"]) == ("Compliant", "rpm")


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("packages: [bash; curl]", []),
        ("bash;powershell", ["powershell"]),
        ("bash, powershell", ["powershell"]),
        ("[powershell]", ["powershell"]),
    ],
)
def test_lists_of_applications_are_split_and_compared(audit, tree, text, missing):
    tree.package("bash").package("curl")

    wanted = audit("GC_InstalledApplicationLinux", Name="x", AttributesYmlContent=text)
    unwanted = audit("GC_NotInstalledApplicationLinux", Name="x", AttributesYmlContent=text)

    assert [reason.phrase.split("'")[1] for reason in wanted.reasons if "'" in reason.phrase] == missing
    assert unwanted.compliance_status == ("Compliant" if text == "[powershell]" else "NonCompliant")


def test_name_that_no_package_can_have_is_a_reason(audit):
    result = audit("GC_InstalledApplicationLinux", Name="x")

    assert "'Unknown Application' is not a valid package name" in result.reasons[0].phrase


# -- services ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("properties", "found"),
    [
        ({"Enabled": True, "State": "Running"}, []),
        ({"Enabled": False}, ["Enabled"]),
        ({"State": "stopped"}, ["State"]),
        ({"Enabled": False, "State": "Stopped"}, ["Enabled", "State"]),
        ({"Controller": "upstart"}, ["NotSupported"]),
        ({"State": "paused"}, ["InvalidProperty"]),
    ],
)
def test_service_is_compared_with_systemd_s_state(audit, tree, properties, found):
    tree.unit("cron")

    result = audit("nxService", Name="cron", **properties)

    assert [code for code in details(result) if code != "SUCCESS"] == found


def test_missing_service_is_compliant_only_when_it_must_be_off(audit):
    assert details(audit("nxService", Name="x", State="running")) == ["NotRunningDNE"]
    assert details(audit("nxService", Name="x", Enabled=False)) == ["NotRunningDNE"]
    assert audit("nxService", Name="x", Enabled=False, State="stopped").compliance_status == "Compliant"


def test_name_that_no_unit_can_have_is_a_reason(audit):
    assert details(audit("nxService", Name="--now x")) == ["InvalidProperty"]


# -- scripts -----------------------------------------------------------------------------------------------


def script(run, set_allowed=False, seconds=10.0, **properties):
    host = LinuxHost(script_seconds=seconds)
    (result,) = run(("nxScript", properties), host=host, set_allowed=set_allowed).resources
    return result


def test_script_that_passes_is_compliant(run):
    assert script(run, TestScript="#!/bin/sh\nexit 0\n").compliance_status == "Compliant"


def test_script_that_fails_says_what_get_script_prints(run):
    result = script(run, GetScript="#!/bin/sh\necho it is wrong", TestScript="#!/bin/sh\nexit 1")

    assert details(result)[0] == "TestScript"
    assert "it is wrong" in result.reasons[0].phrase


def test_script_with_windows_line_ends_runs(run):
    assert script(run, TestScript="#!/bin/sh\r\nexit 0\r\n").compliance_status == "Compliant"


def test_set_script_runs_only_where_the_host_may_be_changed(run, tmp_path):
    made = tmp_path / "made"
    scripts = {"TestScript": f"#!/bin/sh\ntest -e {made}", "SetScript": f"#!/bin/sh\ntouch {made}"}

    assert details(script(run, **scripts))[-1] == "ChangeRefused"
    assert not made.exists()
    assert script(run, set_allowed=True, **scripts).compliance_status == "Compliant"


def test_hanging_script_is_killed_with_its_children_and_the_rest_still_runs(run, tmp_path):
    file = tmp_path / "pid"
    evaluation = run(
        ("nxScript", {"TestScript": f"#!/bin/sh\nsleep 1000 &\necho $! > {file}\nwait\n"}),
        ("nxScript", {"TestScript": "#!/bin/sh\nexit 0\n"}),
        host=LinuxHost(script_seconds=0.5),
        mode="Audit",
    )

    hanging, other = evaluation.resources
    assert (details(hanging), other.compliance_status) == (["Timeout"], "Compliant")
    assert "within 0.5 seconds" in hanging.reasons[0].phrase
    assert not _runs(int(file.read_text()))


def _runs(pid):
    try:
        return "(sleep) Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_powershell_is_not_run(run):
    result = script(run, TestScript="return $true")

    assert details(result) == ["NotSupported"]


def test_script_is_not_run_for_a_folder_that_stands_for_a_machine(audit):
    assert details(audit("nxScript", TestScript="#!/bin/sh\nexit 0")) == ["NotSupported"]


def test_script_sees_nothing_of_the_agent_s_environment(run, monkeypatch):
    monkeypatch.setenv("ARC_SECRET", "x")

    assert script(run, TestScript='#!/bin/sh\ntest -z "$ARC_SECRET"').compliance_status == "Compliant"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run as somebody else")
def test_script_runs_as_its_user(run):
    result = script(run, TestScript='#!/bin/sh\ntest "$(id -un)" = daemon', User="daemon")

    assert result.compliance_status == "Compliant"


# -- environment, keys, archives ---------------------------------------------------------------------------


def test_variable_is_set_changed_and_removed(apply, audit, tree):
    tree.file("/etc/environment", "KEEP=1\nA=old\n")
    assert details(audit("nxEnvironment", Name="A", Value="new")) == ["Value"]

    apply("nxEnvironment", Name="A", Value="new")
    assert tree.path("/etc/environment").read_text() == "KEEP=1\nA=new\n"

    apply("nxEnvironment", Name="A", Ensure="Absent")
    assert tree.path("/etc/environment").read_text() == "KEEP=1\n"


def test_entry_of_the_path_has_a_file_of_its_own(apply, tree):
    tree.folder("/etc/profile.d")

    result = apply("nxEnvironment", Name="mine", Value="/opt/mine/bin", Path=True)

    assert result.compliance_status == "Compliant"
    assert 'export PATH="$PATH:/opt/mine/bin"' in tree.path("/etc/profile.d/DSCEnvironment.sh").read_text()


def test_authorized_key_is_added_replaced_and_removed(apply, audit, tree):
    tree.add("/etc/passwd", f"ann:x:{os.geteuid()}:{os.getegid()}::/home/ann:/bin/sh").folder("/home/ann")
    wanted = {"KeyComment": "ann@x", "UserName": "ann"}
    file = tree.path("/home/ann/.ssh/authorized_keys")

    assert details(audit("nxSshAuthorizedKeys", Key="ssh-ed25519 AAA", **wanted)) == ["Ensure"]
    apply("nxSshAuthorizedKeys", Key="ssh-ed25519 AAA", **wanted)
    assert (file.read_text(), mode_of(file), mode_of(file.parent)) == (
        "ssh-ed25519 AAA ann@x\n",
        0o600,
        0o700,
    )

    tree.add("/home/ann/.ssh/authorized_keys", "ssh-rsa BBB bob@x")
    apply("nxSshAuthorizedKeys", Key="ssh-ed25519 CCC", **wanted)
    assert file.read_text().splitlines() == ["ssh-rsa BBB bob@x", "ssh-ed25519 CCC ann@x"]

    apply("nxSshAuthorizedKeys", Ensure="Absent", **wanted)
    assert file.read_text() == "ssh-rsa BBB bob@x\n"


def test_key_of_a_missing_user_is_a_reason(audit):
    assert details(audit("nxSshAuthorizedKeys", KeyComment="c", UserName="eve", Key="k")) == ["UserNotFound"]


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


# -- TestFile ----------------------------------------------------------------------------------------------


def test_test_file_says_what_is_wrong_and_what_is_right(audit, tree):
    tree.file("/a", "x")

    assert details(audit("TestFile", Path="/none", Content="x")) == ["FileNotExists"]
    assert details(audit("TestFile", Path="/a", Content="y")) == ["ContentMismatch"]
    assert details(audit("TestFile", Path="/a", Content="x")) == ["Compliant"]


# -- what must not go wrong --------------------------------------------------------------------------------


def test_pipe_is_neither_read_nor_taken_for_a_file(audit, tree):
    os.mkfifo(tree.path("/pipe"))

    assert details(audit("nxFile", DestinationPath="/pipe", Contents="x")) == ["Type"]
    assert details(audit("nxFileLine", FilePath="/pipe", ContainsLine="x")) == ["FileNotFound"]
    assert details(audit("TestFile", Path="/pipe", Content="x")) == ["FileNotExists"]


def test_root_of_the_machine_is_never_removed(apply, tree):
    result = apply("nxFile", DestinationPath="/", Type="Directory", Ensure="Absent", Force=True)

    assert details(result)[-1] in {"SetFailed", "ChangeRefused"}
    assert tree.path("/etc/passwd").exists()


@pytest.mark.parametrize("name", ["-R", "--root=/", "a b", "a:b", "", "a\nb"])
def test_name_that_no_account_can_have_is_a_reason(audit, name):
    assert details(audit("nxUser", UserName=name)) == ["InvalidProperty"]
    assert details(audit("nxGroup", GroupName=name)) == ["InvalidProperty"]


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


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"Name": "new"}, ["apt-get", "install", "new"]),
        ({"Name": "new", "Version": "1.2"}, ["apt-get", "install", "new=1.2"]),
        ({"Name": "curl", "Ensure": "Absent"}, ["apt-get", "remove", "curl"]),
        ({"Name": "new", "PackageManager": "zypper"}, ["zypper", "install", "new"]),
        ({"Name": "new", "Arguments": "--no-install-recommends"}, ["apt-get", "install", "new"]),
    ],
)
def test_package_manager_is_asked_for_what_is_missing(tree, properties, expected):
    tree.package("curl")
    host = tree.host().for_run(changes_allowed=True, now=NOW)
    host.may_change_machine = lambda _what: None
    found = resource(Instance("nxPackage", None, properties), host, Path("/"))

    with pytest.raises(ResourceFault, match="no package manager"):
        found.enforce()

    first = tree.commands.ran[0]
    assert [first[0], first[-2], first[-1]] == expected
    assert set(properties.get("Arguments", "").split()) <= set(first)


def test_package_is_installed_from_a_file(tree):
    host = tree.host().for_run(changes_allowed=True, now=NOW)
    host.may_change_machine = lambda _what: None
    instance = Instance(
        "MSFT_nxPackageResource", None, {"Name": "new", "FilePath": "/tmp/new.deb", "ReturnCode": 7}
    )
    tree.prints("dpkg", "--install", str(host.path("/tmp/new.deb")), out="", code=7)

    resource(instance, host, Path("/")).enforce()
