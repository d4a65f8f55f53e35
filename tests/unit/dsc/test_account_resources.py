"""Accounts, their keys and the environment: what is found and which reasons are given.

The machine is a folder; accounts are changed for real in the container tests.
"""

from __future__ import annotations

import os

import pytest

from .conftest import details, mode_of


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


@pytest.mark.parametrize("name", ["-R", "--root=/", "a b", "a:b", "", "a\nb"])
def test_name_that_no_account_can_have_is_a_reason(audit, name):
    assert details(audit("nxUser", UserName=name)) == ["InvalidProperty"]
    assert details(audit("nxGroup", GroupName=name)) == ["InvalidProperty"]
