"""Instance metadata: on this very machine by second ways, and on machines made of files."""

from __future__ import annotations

import ipaddress
import json
import os
import platform
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from arcbed_agent.errors import AgentError
from arcbed_agent.host import Layout, open_host
from arcbed_agent.host.linux import LinuxHost
from arcbed_agent.host.provider import MetadataAddresses
from arcbed_agent.host.sources import InterfaceAddress


@pytest.fixture(scope="module")
def here():
    return open_host(Layout(Path("/nowhere")), {})


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_kernel_and_names_of_this_machine_are_those_of_uname(here):
    metadata = here.metadata()
    assert metadata["osVersion"] == said("uname", "-r")
    assert metadata["osProfile"]["computerName"] == said("uname", "-n").split(".")[0]
    assert here.hostname() == socket.gethostname().split(".")[0]


def test_distribution_of_this_machine_is_that_of_os_release(here):
    script = '. /etc/os-release && printf %s "$PRETTY_NAME"'
    assert (
        here.metadata()["osSku"]
        == said("sh", "-c", script)
        == platform.freedesktop_os_release()["PRETTY_NAME"]
    )


def test_memory_of_this_machine_is_that_of_sysconf(here):
    expected = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    metadata = here.metadata()
    assert metadata["hardwareProfile"]["totalPhysicalMemoryInBytes"] == expected
    assert metadata["detectedProperties"]["totalPhysicalMemoryInBytes"] == str(expected)


def test_processors_of_this_machine_are_those_that_are_online(here):
    detected = here.metadata()["detectedProperties"]
    assert detected["logicalCoreCount"] == str(os.sysconf("SC_NPROCESSORS_ONLN"))
    assert detected["architecture"] == {"x86_64": "amd64", "aarch64": "arm64"}[said("uname", "-m")]


@pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 is not installed")
def test_addresses_of_this_machine_are_those_that_ip_lists(here):
    listed = {
        entry["local"]
        for link in json.loads(said("ip", "-json", "address"))
        for entry in link["addr_info"]
        if not ipaddress.ip_address(entry["local"]).is_loopback
    }
    interfaces = here.metadata()["networkProfile"]["networkInterfaces"]
    assert {entry["address"] for item in interfaces for entry in item["ipAddresses"]} == listed


def test_a_disk_of_this_machine_has_the_size_of_its_device(here):
    for disk in here.metadata()["storageProfile"]["disks"]:
        assert disk["maxSizeInBytes"] == 512 * int(Path(f"/sys/block/{disk['name']}/size").read_text())


def test_detected_properties_are_all_strings(here):
    assert all(isinstance(value, str) for value in here.metadata()["detectedProperties"].values())


def test_a_bed_never_asks_a_metadata_service_unless_told(here):
    assert here.cloud().provider == "N/A"


def test_settings_can_put_other_files_before_the_machines_own(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hostname").write_text("db-07\n")
    (tmp_path / "etc/os-release").write_text("ID=ubuntu\nVERSION_ID=16.04\nPRETTY_NAME='Ubuntu 16.04'\n")
    host = open_host(Layout(Path("/nowhere")), {"host.root": str(tmp_path)})
    assert host.hostname() == "db-07"
    assert host.metadata()["osSku"] == "Ubuntu 16.04"
    refusal = host.refusal()
    assert refusal is not None
    assert "Ubuntu 16.04" in refusal.message
    seed = open_host(Layout(Path("/nowhere")), {"host.root": str(tmp_path), "agent.profile": "seed"})
    assert seed.refusal() is None


# -- machines made of files ----------------------------------------------------------------------------------

TWO_SOCKETS = "\n\n".join(
    f"processor\t: {number}\nmodel name\t: Intel Xeon Gold\n"
    f"physical id\t: {number // 4}\ncore id\t\t: {number % 2}"
    for number in range(8)
)


def host_of(sources) -> LinuxHost:
    return LinuxHost(sources, MetadataAddresses())


def test_two_sockets_with_hyperthreads_count_cores_and_threads_apart(machine):
    metadata = host_of(machine({"proc/cpuinfo": TWO_SOCKETS})).metadata()
    assert metadata["hardwareProfile"]["processors"] == [
        {"name": "Intel Xeon Gold", "numberOfCores": 2},
        {"name": "Intel Xeon Gold", "numberOfCores": 2},
    ]
    detected = metadata["detectedProperties"]
    assert (detected["processorCount"], detected["coreCount"], detected["logicalCoreCount"]) == (
        "2",
        "4",
        "8",
    )


def test_smbios_tables_give_manufacturer_model_uuid_and_serial(machine):
    tables = {
        "sys_vendor": "HPE",
        "product_name": "ProLiant DL380",
        "product_uuid": "4C4C4544-0038-4410-8051-B4C04F565931",
        "product_serial": "CZ1234",
    }
    metadata = host_of(
        machine({f"sys/class/dmi/id/{name}": text for name, text in tables.items()})
    ).metadata()
    assert metadata["vmUuid"] == "4c4c4544-0038-4410-8051-b4c04f565931"
    assert metadata["detectedProperties"]["manufacturer"] == "HPE"
    assert metadata["detectedProperties"]["model"] == "ProLiant DL380"
    assert metadata["firmwareProfile"] == {"serialNumber": "CZ1234", "type": "BIOS"}


def test_smbios_is_read_with_dmidecode_where_sysfs_hides_it(machine):
    answers = {"system-uuid": "# SMBIOS implementations newer\n00000000-0000-0000-0000-000000000001"}
    sources = machine(run=lambda command: answers.get(command[-1], "") if command[0] == "dmidecode" else "")
    assert host_of(sources).metadata()["vmUuid"] == "00000000-0000-0000-0000-000000000001"


def test_smbios_placeholders_are_not_reported(machine):
    sources = machine({"sys/class/dmi/id/product_serial": "To be filled by O.E.M."})
    assert host_of(sources).metadata()["detectedProperties"]["serialNumber"] == ""


def test_machine_in_a_domain_reports_its_ad_name(machine):
    sssd = "[sssd]\ndomains = contoso.com\n[domain/contoso.com]\nid_provider = ad\n"
    metadata = host_of(machine({"etc/sssd/sssd.conf": sssd})).metadata()
    assert metadata["domainName"] == "contoso.com"
    assert metadata["adFqdn"] == metadata["machineFqdn"] == "web-01.contoso.com"


def test_machine_without_a_domain_says_unknown(machine):
    metadata = host_of(machine(canonical_name=lambda name: f"{name}.lan")).metadata()
    assert (metadata["domainName"], metadata["adFqdn"]) == ("unknown", "unknown")
    assert metadata["dnsFqdn"] == "web-01.lan"


def test_resolver_that_knows_another_name_is_not_believed(machine):
    assert host_of(machine(canonical_name=lambda _name: "localhost")).metadata()["dnsFqdn"] == "web-01"


def test_machine_without_a_name_fails_with_102(machine):
    with pytest.raises(AgentError) as caught:
        host_of(machine({"proc/sys/kernel/hostname": "(none)\n"})).hostname()
    assert caught.value.number == 102


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("opt/mssql/bin/sqlservr", "mssqldiscovered"),
        ("usr/sbin/mysqld", "mysqldiscovered"),
        ("usr/lib/postgresql/16/bin/postgres", "pgsqldiscovered"),
    ],
)
def test_database_server_is_detected_by_its_program(machine, file, name):
    detected = host_of(machine({file: ""})).metadata()["detectedProperties"]
    assert detected[name] == "true"
    assert [key for key in detected if key.endswith("discovered") and detected[key] == "true"] == [name]


def test_sql_server_is_a_property_of_its_own(machine):
    assert host_of(machine({"opt/mssql/bin/sqlservr": ""})).metadata()["mssqlDiscovered"] == "true"


def test_disks_count_each_mounted_partition_once(machine):
    files = {
        "sys/block/nvme0n1/size": "2048\n",
        "sys/block/nvme0n1/queue/rotational": "0\n",
        "sys/block/nvme0n1/wwid": "eui.0025\n",
        "sys/block/loop0/size": "8\n",
        "proc/self/mounts": (
            "/dev/nvme0n1p1 / ext4 rw 0 0\n/dev/nvme0n1p1 /bind ext4 rw 0 0\n"
            "/dev/nvme0n1p2 /a\\040b xfs rw 0 0\n"
        ),
    }
    used = {"/": 100, "/bind": 100, "/a b": 50}
    disks = host_of(machine(files, used_bytes=used.__getitem__)).metadata()["storageProfile"]["disks"]
    assert disks == [
        {
            "path": "/dev/nvme0n1",
            "diskType": "SSD",
            "generatedId": "eui.0025",
            "id": "eui.0025",
            "name": "nvme0n1",
            "maxSizeInBytes": 2048 * 512,
            "usedSpaceInBytes": 150,
        }
    ]


def test_interfaces_leave_loopback_out_and_name_the_subnet(machine):
    addresses = [
        InterfaceAddress("lo", "127.0.0.1", 8),
        InterfaceAddress("eth0", "10.1.2.3", 24),
        InterfaceAddress("eth0", "2001:db8::5", 64),
    ]
    sources = machine({"sys/class/net/eth0/address": "02:00:00:00:00:01\n"}, addresses=lambda: addresses)
    [interface] = host_of(sources).metadata()["networkProfile"]["networkInterfaces"]
    assert interface["macAddress"] == "02:00:00:00:00:01"
    assert interface["ipAddresses"] == [
        {"address": "10.1.2.3", "ipAddressVersion": "IPv4", "subnet": {"addressPrefix": "10.1.2.0/24"}},
        {"address": "2001:db8::5", "ipAddressVersion": "IPv6", "subnet": {"addressPrefix": "2001:db8::/64"}},
    ]


def test_cluster_is_reported_only_when_it_is_known(machine):
    assert "parentClusterResourceId" not in host_of(machine()).metadata()
    host = LinuxHost(machine(), MetadataAddresses(), cluster_resource_id="/subscriptions/s/c")
    assert host.metadata()["parentClusterResourceId"] == "/subscriptions/s/c"


# -- supported systems ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "today", "seed"),
    [
        ("ID=ubuntu\nVERSION_ID=24.04", True, False),
        ("ID=ubuntu\nVERSION_ID=16.04", False, True),
        ("ID=debian\nVERSION_ID=12", True, False),
        ("ID=debian\nVERSION_ID=10", False, False),
        ('ID="rhel"\nVERSION_ID="8.10"', True, True),
        ("ID=rhel\nVERSION_ID=9.4", True, False),
        ('ID="centos"\nVERSION_ID="7"', False, True),
        ("ID=sles\nVERSION_ID=15.2", False, True),
        ("ID=sles_sap\nVERSION_ID=15.6", True, True),
        ("ID=amzn\nVERSION_ID=2", True, True),
        ("ID=amzn\nVERSION_ID=2023", True, False),
        ("ID=rocky\nVERSION_ID=9.3", True, False),
        ("ID=alpine\nVERSION_ID=3.20", False, False),
        ("", False, False),
    ],
)
def test_system_is_supported_by_the_table_of_its_year(machine, release, today, seed):
    sources = machine({"etc/os-release": f"{release}\n"})
    assert (LinuxHost(sources, MetadataAddresses()).refusal() is None) is today
    assert (LinuxHost(sources, MetadataAddresses(), support_table="2022").refusal() is None) is seed


def test_arm64_was_not_supported_in_2022(machine):
    sources = machine({"etc/os-release": "ID=ubuntu\nVERSION_ID=20.04\n"}, architecture="aarch64")
    assert LinuxHost(sources, MetadataAddresses()).refusal() is None
    refusal = LinuxHost(sources, MetadataAddresses(), support_table="2022").refusal()
    assert refusal is not None
    assert "aarch64" in refusal.message


@pytest.mark.parametrize("appliance", ["Azure Stack HCI", "Azure Stack Edge"])
def test_appliance_is_refused_by_the_name_of_its_system(machine, appliance):
    sources = machine({"etc/os-release": f'ID=mariner\nPRETTY_NAME="{appliance} 22H2"\n'})
    refusal = LinuxHost(sources, MetadataAddresses()).refusal()
    assert refusal is not None
    assert appliance in refusal.message


def test_unknown_support_table_is_told(machine):
    with pytest.raises(AgentError) as caught:
        LinuxHost(machine(), MetadataAddresses(), support_table="1999").refusal()
    assert caught.value.number == 23
