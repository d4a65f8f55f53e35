"""Packages that audit and correct a whole machine: a real account, group, file, unit and package.

The machine is a container; the agent's modules come from this checkout.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from baseline_rules import document
from engine import MACHINE, container, docker

from arcbed_agent.gcad.dsc import mof
from arcbed_agent.gcad.dsc.mof import Instance

pytestmark = pytest.mark.containers
ROOT = Path(__file__).parents[2]
COMMAND = "from arcbed_agent.gcad.cli import run; import sys; sys.exit(run(sys.argv[1:]))"
#: A package in a repository of the machine's own, so that installing it needs no network.
REPOSITORY = """
set -e
mkdir -p /build/DEBIAN /build/usr/share/hello /repo
printf 'Package: arcbed-hello\\nVersion: 1.0\\nArchitecture: all\\nMaintainer: me\\nDescription: hello\\n' \
  > /build/DEBIAN/control
dpkg-deb --build /build /repo/hello.deb > /dev/null
{ cat /build/DEBIAN/control; echo Filename: ./hello.deb; echo Size: $(stat -c %s /repo/hello.deb);
  echo SHA256: $(sha256sum < /repo/hello.deb | cut -d' ' -f1); } > /repo/Packages
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
echo 'deb [trusted=yes] file:/repo ./' > /etc/apt/sources.list.d/own.list
apt-get update -q > /dev/null
"""
UNIT = """[Unit]
Description=A daemon of the test
[Service]
ExecStart=/bin/sleep 1000
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A machine with the agent's modules, and a folder that both sides see."""
    shared = tmp_path_factory.mktemp("shared")
    options = (
        "--network=none",
        "--env=ARC_INIT=supervisor",
        "--env=PYTHONPATH=/src",
        "--env=PYTHONDONTWRITEBYTECODE=1",
        f"--volume={ROOT}/agent:/src:ro",
        f"--volume={ROOT}/tests/support:/support:ro",
        f"--volume={shared}:/shared",
    )
    with container(MACHINE, *options) as machine:
        machine.wait("systemctl is-system-running | grep -q running")
        machine.sh(REPOSITORY)
        machine.sh(f"printf '{UNIT}' > /etc/systemd/system/arcbed-test.service && systemctl daemon-reload")
        yield machine, shared


@pytest.fixture
def gcad_test(machine):
    """Run `gcad test` in the machine on resources given as (class, properties); its report."""

    def run(*described, mode="test", text=None):
        container, shared = machine
        instances = [
            Instance(name, None, {"ResourceID": f"[{name}]{index}"} | properties)
            for index, (name, properties) in enumerate(described)
        ]
        with zipfile.ZipFile(shared / "My.zip", "w") as archive:
            archive.writestr("My.mof", text or mof.write(instances))
            archive.writestr("My.metaconfig.json", '{"Type": "AuditAndSet"}')
        options = ("--json", f"--{mode}", *(["--allow-host-changes"] if mode == "set" else []))
        done = container.run("python3", "-c", COMMAND, "test", "/shared/My.zip", *options, check=False)
        assert done.returncode in {0, 3}, done.stderr
        return json.loads(done.stdout)

    return run


def wrong(report):
    return [
        resource["reasons"][0]["code"].rpartition(":")[2]
        for resource in report["resources"]
        if not resource["complianceStatus"]
    ]


PRESENT = [
    ("nxGroup", {"GroupName": "arcbed-staff", "MembersToInclude": ["daemon"], "PreferredGroupID": "4711"}),
    (
        "nxUser",
        {
            "UserName": "arcbed-ann",
            "FullName": "Ann",
            "Description": "test",
            "HomeDirectory": "/home/arcbed-ann",
            "GroupID": "arcbed-staff",
            "Password": "$6$salt$" + "h" * 86,
            "Disabled": False,
            "DependsOn": ["[nxGroup]0"],
        },
    ),
    (
        "nxFile",
        {
            "DestinationPath": "/etc/arcbed/test.conf",
            "Contents": "a = 1\n",
            "Mode": "0640",
            "Owner": "arcbed-ann",
            "Group": "arcbed-staff",
            "Force": True,
            "DependsOn": ["[nxUser]1"],
        },
    ),
    ("nxService", {"Name": "arcbed-test", "Enabled": True, "State": "running"}),
    ("nxPackage", {"Name": "arcbed-hello", "Version": "1.0"}),
    (
        "nxScript",
        {
            "TestScript": "#!/bin/sh\ntest -e /var/tmp/made",
            "SetScript": "#!/bin/sh\ntouch /var/tmp/made",
            "GetScript": "#!/bin/sh\nls /var/tmp",
        },
    ),
    ("nxFileLine", {"FilePath": "/etc/hosts", "ContainsLine": "127.0.0.9 arcbed-test"}),
]
ABSENT = [
    ("nxPackage", {"Name": "arcbed-hello", "Ensure": "Absent"}),
    ("nxService", {"Name": "arcbed-test", "Enabled": False, "State": "stopped"}),
    ("nxFile", {"DestinationPath": "/etc/arcbed/test.conf", "Ensure": "Absent"}),
    ("nxUser", {"UserName": "arcbed-ann", "Ensure": "Absent"}),
    ("nxGroup", {"GroupName": "arcbed-staff", "Ensure": "Absent", "DependsOn": ["[nxUser]3"]}),
]


def test_machine_is_audited_corrected_and_brought_back(machine, gcad_test):
    container, _ = machine

    assert len(wrong(gcad_test(*PRESENT))) == len(PRESENT)
    assert wrong(gcad_test(*PRESENT, mode="set")) == []

    assert container.sh("id -gn arcbed-ann; getent group arcbed-staff").stdout.split() == [
        "arcbed-staff",
        "arcbed-staff:x:4711:daemon",
    ]
    assert container.sh("stat -c '%a %U %G' /etc/arcbed/test.conf").stdout.split() == [
        "640",
        "arcbed-ann",
        "arcbed-staff",
    ]
    assert container.sh(
        "systemctl is-active arcbed-test; systemctl is-enabled arcbed-test"
    ).stdout.split() == [
        "active",
        "enabled",
    ]
    assert container.sh("dpkg-query -W -f '${Version}' arcbed-hello").stdout == "1.0"

    assert wrong(gcad_test(*PRESENT)) == []
    assert wrong(gcad_test(*ABSENT, mode="set")) == []
    assert container.sh("id arcbed-ann; getent group arcbed-staff", check=False).stdout == ""
    assert container.sh("systemctl is-active arcbed-test", check=False).stdout.strip() == "inactive"


def test_drift_of_each_kind_is_found_and_repaired(machine, gcad_test):
    container, _ = machine
    gcad_test(*PRESENT, mode="set")
    container.sh(
        "echo drift > /etc/arcbed/test.conf; chmod 600 /etc/arcbed/test.conf; usermod -L arcbed-ann;"
        "gpasswd -d daemon arcbed-staff; systemctl stop arcbed-test; dpkg -r arcbed-hello; rm /var/tmp/made"
    )

    assert wrong(gcad_test(*PRESENT)) == [
        "MembersToInclude",
        "Disabled",
        "Contents",
        "State",
        "Ensure",
        "TestScript",
    ]
    assert wrong(gcad_test(*PRESENT, mode="set")) == []


def test_baseline_is_evaluated_on_a_real_machine(gcad_test):
    report = gcad_test(text=document())

    codes = [resource["reasons"][0]["code"] for resource in report["resources"]]
    assert len(codes) == 169
    assert sum(code.endswith(":NotSupported") for code in codes) == 3
    assert not [code for code in codes if code.endswith((":Error", ":Timeout"))]


#: States that no container can have, or that would be the host's too.
RECORDED_ONLY = {
    "AllWirelessInterfacesAreDisabled",
    "DefaultDenyFirewallPolicyIsSet",
    "KernelSupportForCpuNx",
    "RcprshServiceIsDisabled",
    "SyslogRotaterServiceIsEnabled",
    "SystemNotActingAsNetworkSniffer",
    "VirtualMemoryRandomizationIsEnabled",
}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_rules_are_decided_on_a_real_machine_in_both_states():
    options = (
        "--network=none",
        "--env=ARC_INIT=supervisor",
        f"--volume={ROOT}/agent:/src:ro",
        f"--volume={ROOT}/tests/support:/support:ro",
        "--env=PYTHONPATH=/src:/support",
        "--env=PYTHONDONTWRITEBYTECODE=1",
        # Its own network's settings can be changed; those of the kernel are left alone.
        "--security-opt=systempaths=unconfined",
    )
    with container(MACHINE, *options) as machine:
        machine.wait("systemctl is-system-running | grep -q running")
        command = ("exec", machine.name, "python3", "/support/real_machine.py")
        done = docker(*command, check=False, timeout=280)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout.splitlines()[-1])
    assert found["wrong"] == []
    assert set(found["unreal"]) == RECORDED_ONLY
