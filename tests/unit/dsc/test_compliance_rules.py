"""Rules that bring their own check: operators, parameters, and each procedure both ways."""

from __future__ import annotations

import base64
import json

import pytest

from arcbed_agent.gcad.dsc.compliance.comparison import matches
from arcbed_agent.gcad.dsc.compliance.versions import compare

HASH = "$6$salt$" + "h" * 86


def cis(audit_of_it, desired="", **parameters):
    """The properties of a rule."""
    rule = {"name": "a rule", "audit": audit_of_it, "parameters": parameters}
    return {
        "RuleId": "id",
        "PayloadKey": "/cis/Ubuntu/24.04/v1.0.0/2/2/1",
        "ComponentName": "ComplianceEngine",
        "ReportedObjectName": "auditObject",
        "ProcedureObjectName": "procedureObject",
        "ProcedureObjectValue": base64.b64encode(json.dumps(rule).encode()).decode(),
        "DesiredObjectValue": desired,
    }


@pytest.fixture
def outcome(audit):
    """True, False, or the detail of the reason when it cannot be told."""

    def decided(audit_of_it, desired="", **parameters):
        result = audit("OsConfigResource", **cis(audit_of_it, desired, **parameters))
        code = result.reasons[0].code
        if code.startswith("BaselineSetting"):
            return result.compliance_status == "Compliant"
        return code.rpartition(":")[2]

    return decided


YES = {"PackageInstalled": {"packageName": "base-files"}}
NO = {"PackageInstalled": {"packageName": "nothing"}}
UNKNOWN = {"AuditdRules": {"searchItem": "x"}}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (YES, True),
        (NO, False),
        (UNKNOWN, "NotSupported"),
        ({"not": YES}, False),
        ({"not": NO}, True),
        ({"not": UNKNOWN}, "NotSupported"),
        ({"allOf": [YES, YES]}, True),
        ({"allOf": [YES, NO]}, False),
        ({"allOf": [YES, UNKNOWN]}, "NotSupported"),
        ({"allOf": [UNKNOWN, NO]}, False),
        ({"anyOf": [NO, YES]}, True),
        ({"anyOf": [NO, NO]}, False),
        ({"anyOf": [UNKNOWN, YES]}, True),
        ({"anyOf": [UNKNOWN, NO]}, "NotSupported"),
        ({"anyOf": [{"not": NO}, {"allOf": [NO]}]}, True),
        ({"Lua": "return true"}, "NotSupported"),
        ({"allOf": []}, "InvalidProperty"),
        ({"allOf": YES}, "InvalidProperty"),
        ({"a": 1, "b": 2}, "InvalidProperty"),
        ({"PackageInstalled": {}}, "InvalidProperty"),
        ({"PackageInstalled": "bash"}, "InvalidProperty"),
    ],
)
def test_operators_decide_as_far_as_their_leaves_do(outcome, node, expected):
    assert outcome(node) == expected


def test_deep_nesting_is_an_error(outcome):
    node = YES
    for _ in range(100):
        node = {"not": node}

    assert outcome(node) == "InvalidProperty"


@pytest.mark.parametrize(
    "value", ["no base64!", base64.b64encode(b"{}").decode(), base64.b64encode(b"[]").decode()]
)
def test_what_is_no_rule_is_an_error(audit, value):
    result = audit("OsConfigResource", **cis(YES) | {"ProcedureObjectValue": value})

    assert result.reasons[0].code.endswith(":InvalidProperty")


@pytest.mark.parametrize(
    ("argument", "desired", "parameters", "expected"),
    [
        ("$NAME", "", {"NAME": "base-files"}, True),
        ("$NAME", "NAME=nothing", {"NAME": "base-files"}, False),
        ("$NAME", "OTHER=1 NAME='base-files'", {"NAME": "nothing"}, True),
        ("$NAME:base-files", "", {}, True),
        ("$NAME:base-files", "NAME=nothing", {}, False),
        ("$NAME", "", {}, "InvalidProperty"),
    ],
)
def test_parameters_are_filled_in_and_overridden(outcome, argument, desired, parameters, expected):
    assert outcome({"PackageInstalled": {"packageName": argument}}, desired, **parameters) == expected


CASES = [
    ("PackageInstalled", {"packageName": "base-files", "minPackageVersion": "11"}, True),
    ("PackageInstalled", {"packageName": "base-files", "minPackageVersion": "13"}, False),
    ("FileExists", {"filename": "/etc/passwd"}, True),
    ("FileExists", {"filename": "/etc/none"}, False),
    (
        "EnsureFilePermissions",
        {"filename": "/secret", "owner": "ann|root", "group": "root", "mask": "077"},
        True,
    ),
    ("FilePermissions", {"filename": "/secret", "permissions": "600"}, True),
    ("FilePermissions", {"filename": "/secret", "permissions": "640"}, False),
    ("FilePermissions", {"filename": "/etc/passwd", "mask": "077"}, False),
    ("FilePermissions", {"filename": "/etc/passwd", "owner": "daemon"}, False),
    ("FilePermissions", {"filename": "/none"}, False),
    ("FilePermissionsCollection", {"directory": "/d", "ext": "*.conf", "mask": "077"}, True),
    ("FilePermissionsCollection", {"directory": "/d", "ext": "*", "mask": "077"}, False),
    ("FileRegexMatch", {"path": "/d", "filenamePattern": ".*\\.conf", "matchPattern": "^a=1$"}, True),
    ("FileRegexMatch", {"path": "/d", "filenamePattern": ".*", "matchPattern": "^a=1$"}, False),
    (
        "FileRegexMatch",
        {"path": "/d", "filenamePattern": ".*", "matchPattern": "^a=1$", "behavior": "at_least_one_exists"},
        True,
    ),
    (
        "FileRegexMatch",
        {"path": "/d", "filenamePattern": ".*", "matchPattern": "^A=", "behavior": "none_exist"},
        True,
    ),
    (
        "FileRegexMatch",
        {
            "path": "/d",
            "filenamePattern": "x.conf",
            "matchPattern": "^A=",
            "statePattern": "=[[:digit:]]$",
            "ignoreCase": "matchPattern",
        },
        True,
    ),
    (
        "FileRegexMatch",
        {"path": "/d", "filenamePattern": "x.conf", "matchPattern": "^a=", "statePattern": "=2"},
        False,
    ),
    ("FilesystemMountOption", {"mountpoint": "/tmp", "optionsSet": "nodev,nosuid"}, True),
    ("FilesystemMountOption", {"mountpoint": "/tmp", "optionsSet": "noexec"}, False),
    ("FilesystemMountOption", {"mountpoint": "/tmp", "optionsNotSet": "nodev"}, False),
    ("MountPointExists", {"mountPoint": "/tmp"}, True),
    ("MountPointExists", {"mountPoint": "/home"}, False),
    ("KernelModuleUnavailable", {"moduleName": "cramfs"}, True),
    ("KernelModuleUnavailable", {"moduleName": "usb-storage"}, False),
    ("KernelModuleUnavailable", {"moduleName": "loaded"}, False),
    ("KernelModuleUnavailable", {"moduleName": "never"}, True),
    ("LoginDefsOption", {"option": "PASS_MAX_DAYS", "value": "365", "comparison": "le"}, True),
    ("LoginDefsOption", {"option": "PASS_MAX_DAYS", "value": "90", "comparison": "le"}, False),
    ("LoginDefsOption", {"option": "ENCRYPT_METHOD", "value": "SHA512", "comparison": "eq"}, True),
    ("LoginDefsOption", {"option": "NONE", "value": "1", "comparison": "eq"}, False),
    ("PasswordChangeDate", {}, True),
    ("ShadowField", {"field": "max_age", "value": "365", "operation": "le"}, True),
    ("ShadowField", {"field": "min_age", "value": "1", "operation": "ge"}, False),
    ("ShadowField", {"field": "encryption_method", "value": "SHA-512|YesCrypt", "operation": "match"}, True),
    (
        "ShadowField",
        {"username": "root", "field": "password", "value": "^[!*]", "operation": "match"},
        True,
    ),
    ("SshdOption", {"option": "permitrootlogin", "value": "no"}, True),
    ("SshdOption", {"option": "permitrootlogin", "value": "n"}, False),
    ("SshdOption", {"option": "maxauthtries", "op": "le", "value": "4"}, True),
    ("SshdOption", {"option": "maxauthtries", "op": "lt", "value": "4"}, False),
    ("SshdOption", {"option": "ciphers", "op": "not_match", "value": "3des,arcfour"}, True),
    ("SshdOption", {"option": "ciphers", "op": "not_match", "value": "aes"}, False),
    ("SshdOption", {"option": "ciphers,macs", "op": "match", "value": "aes"}, False),
    ("SshKeyPermissions", {"type": "private"}, True),
    ("SshKeyPermissions", {"type": "public"}, False),
    ("SysctlValue", {"sysctlName": "net.ipv4.ip_forward", "value": "^0$"}, True),
    ("SysctlValue", {"sysctlName": "net.ipv4.ip_forward", "value": "^1$"}, False),
    (
        "SystemdConfigValue",
        {"parameter": "Storage", "valueRegex": "persistent", "file": "journald.conf", "block": "[Journal]"},
        True,
    ),
    ("SystemdConfigValue", {"parameter": "Storage", "value": "auto", "file": "journald.conf"}, False),
    ("SystemdConfigValue", {"parameter": "Size", "op": "ge", "value": "10", "file": "journald.conf"}, True),
    ("SystemdConfigValue", {"parameter": "None", "value": "1", "file": "journald.conf"}, False),
    (
        "SystemdConfigValue",
        {"parameter": "None", "value": "1", "file": "journald.conf", "passOnNotFound": "true"},
        True,
    ),
    (
        "SystemdUnitState",
        {"unitName": "cron", "activeState": "active", "unitFileState": "enabled|static"},
        True,
    ),
    ("SystemdUnitState", {"unitName": "cron", "activeState": "inactive"}, False),
    ("SystemdUnitState", {"unitName": "none", "loadState": "not-found"}, True),
]


@pytest.fixture
def prepared(tree):
    """A tree on which every procedure has something to look at."""
    mounts = "tmpfs /tmp tmpfs rw,nodev,nosuid 0 0\n"
    tree.file("/secret", mode=0o600).file("/d/x.conf", "a=1\n", 0o600).file("/d/y", "b=1\n", 0o644)
    tree.file("/etc/fstab", mounts).file("/proc/self/mounts", mounts)
    tree.file("/proc/modules", "loaded 1 0 - Live 0\n")
    for module in ("cramfs.ko", "usb-storage.ko.xz", "loaded.ko"):
        tree.file(f"/lib/modules/6.1/kernel/{module}")
    tree.file(
        "/etc/modprobe.d/x.conf",
        "install cramfs /bin/false\nblacklist cramfs\ninstall usb-storage /bin/true\n",
    )
    tree.file("/etc/login.defs", "PASS_MAX_DAYS 365\nENCRYPT_METHOD SHA512\n")
    tree.user("ann", 1000).shadow("ann", f"{HASH}:20000:0:365:7:30::")
    tree.file("/etc/ssh/sshd_config").unit("ssh").unit("cron")
    tree.prints(
        "sshd", "-T", out="permitrootlogin no\nmaxauthtries 4\nciphers aes128-ctr\nmacs hmac-sha2-256\n"
    )
    tree.file("/etc/ssh/ssh_host_rsa_key", mode=0o600).file("/etc/ssh/ssh_host_rsa_key.pub", mode=0o664)
    tree.kernel("net.ipv4.ip_forward", "0")
    tree.file("/etc/systemd/journald.conf", "[Journal]\n#Storage=auto\nStorage=volatile\nSize=16\n")
    tree.file("/etc/systemd/journald.conf.d/1.conf", "[Journal]\nStorage=persistent\n")


@pytest.mark.parametrize(("name", "arguments", "expected"), CASES)
def test_procedure_decides(outcome, prepared, name, arguments, expected):
    assert outcome({name: arguments}) is expected


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("FileRegexMatch", {"path": "/d", "filenamePattern": "(", "matchPattern": "x"}),
        (
            "FileRegexMatch",
            {"path": "/d", "filenamePattern": "x.conf", "matchPattern": "x", "behavior": "some"},
        ),
        ("LoginDefsOption", {"option": "PASS_MAX_DAYS", "value": "1", "comparison": "near"}),
        ("ShadowField", {"field": "shoe_size", "value": "1", "operation": "eq"}),
    ],
)
def test_argument_that_makes_no_sense_is_an_error(outcome, prepared, name, arguments):
    assert outcome({name: arguments}) == "InvalidProperty"


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0", "1.1"),
        ("1.9", "1.10"),
        ("1.0~rc1", "1.0"),
        ("1.0-1", "1.0-2"),
        ("1.0", "1.0-1"),
        ("9:1", "10:1"),
        ("1.0", "1:0.1"),
        ("1.0a", "1.0.1"),
        ("1.6.8-0", "1.6.8-1"),
    ],
)
def test_versions_are_ordered_as_packages_order_them(older, newer):
    assert compare(older, newer) < 0 < compare(newer, older)
    assert compare(older, older) == 0


def test_classes_of_posix_patterns_are_understood():
    assert matches("^[[:space:]]*x", "  x")
    assert not matches("^[[:alpha:]]+$", "a1")
