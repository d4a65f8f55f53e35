"""Packages and services: what is found and which reasons are given.

The machine is a folder; packages and units are changed for real in the container tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from arcbed_agent.gcad.dsc.mof import Instance
from arcbed_agent.gcad.dsc.registry import resource
from arcbed_agent.gcad.dsc.resource import ResourceFault

from .conftest import NOW, details


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
