"""azure-mgmt-guestconfig: every operation on machines, beside a machine that pulls and reports."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.guestconfig import GuestConfigurationClient
from azure.mgmt.guestconfig.models import (
    ConfigurationParameter,
    GuestConfigurationAssignment,
    GuestConfigurationAssignmentProperties,
    GuestConfigurationNavigation,
)
from azure.storage.blob import BlobClient
from onboarded import World

REPORT = "5f1c6a52-0000-4000-8000-{:012d}"
PARAMETER = ConfigurationParameter(
    name="[WindowsTimeZone]WindowsTimeZone1;TimeZone", value="(UTC-10:00) Hawaii"
)
GROUP = "bench"
MACHINE = "m0000"


@pytest.fixture(scope="module")
def world(running_cloud) -> Iterator[World]:
    made = World(running_cloud)
    made.prepare()
    yield made
    made.client.close()


@pytest.fixture(scope="module")
def machine(world) -> dict[str, str]:
    """A machine that has its identity; its token and vmId."""
    path, body = world.machine(0)
    vm_id = body["properties"]["vmId"]
    return {"path": path, "vm_id": vm_id, "token": world.beat(path, vm_id)["token"]}


@pytest.fixture(scope="module")
def client(owner, subscription, options, resources) -> Iterator[GuestConfigurationClient]:
    resources.providers.register("Microsoft.GuestConfiguration")
    with GuestConfigurationClient(owner, subscription, **options) as found:
        yield found


def wanted(name: str, **more) -> GuestConfigurationAssignment:
    navigation = GuestConfigurationNavigation(
        name=name, version="1.0.0", assignment_type="ApplyAndMonitor", **more
    )
    properties = GuestConfigurationAssignmentProperties(context="by hand", guest_configuration=navigation)
    return GuestConfigurationAssignment(location="westeurope", properties=properties)


def agent(world, machine, method: str, path: str, **more) -> httpx.Response:
    answer = world.client.request(
        method,
        f"/gas/virtualMachines/{machine['vm_id']}{path}",
        params={"api-version": "sim-1"},
        headers={"Authorization": f"Bearer {machine['token']}"},
        **more,
    )
    assert answer.is_success, answer.text
    return answer


def report(world, machine, name: str, number: int, status: str) -> None:
    """Pull, and report on what was given."""
    pulled = agent(world, machine, "GET", "/assignments").json()
    item = next(item for item in pulled["value"] if item["name"] == name)
    body = {
        "assignmentName": name,
        "assignmentHash": item["assignmentHash"],
        "itemGeneration": item["itemGeneration"],
        "configuration": {"name": name, "version": "1.0.0"},
        "operationType": "Initial",
        "jobId": REPORT.format(number),
        "startTime": "2026-03-01T12:00:00Z",
        "endTime": f"2026-03-01T12:00:{number:02d}Z",
        "complianceStatus": status,
        "resources": [
            {
                "resourceId": "[nxFile]motd",
                "complianceStatus": status,
                "properties": {"ResourceId": "[nxFile]motd"},
                "reasons": [{"code": "nxFile:nxFile:Contents", "phrase": "the contents differ"}],
            }
        ],
        "seq": number,
    }
    agent(world, machine, "PUT", f"/assignments/{name}/reports/{REPORT.format(number)}", json=body)


def test_assignment_is_made_evaluated_read_and_deleted(running_cloud, client, world, machine):
    on = client.guest_configuration_hcrp_assignments
    where = {"resource_group_name": GROUP, "machine_name": MACHINE}
    name = {"guest_configuration_assignment_name": "TimeZone"}
    made = on.create_or_update(
        **name, **where, parameters=wanted("TimeZone", configuration_parameter=[PARAMETER])
    )
    assert (
        made.id
        == f"{machine['path']}/providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/TimeZone"
    )
    assert made.properties.compliance_status == "Pending"
    assert made.properties.parameter_hash == (
        "W1dpbmRvd3NUaW1lWm9uZV1XaW5kb3dzVGltZVpvbmUxO1RpbWVab25lPShVVEMtMTA6MDApIEhhd2FpaQ=="
    )
    assert running_cloud.stored("resources", made.id)["properties"]["context"] == "by hand"

    report(world, machine, "TimeZone", 1, "NonCompliant")
    report(world, machine, "TimeZone", 2, "Compliant")
    read = on.get(**name, **where)
    assert read.properties.compliance_status == "Compliant"
    assert read.properties.last_compliance_status_checked.second == 2
    assert read.properties.latest_report_id == f"{made.id}/reports/{REPORT.format(2)}"
    assert read.properties.provisioning_state == "Succeeded"
    assert read.properties.guest_configuration.assignment_type == "ApplyAndMonitor"

    reports = client.guest_configuration_hcrp_assignment_reports
    listed = reports.list(**name, **where)
    assert [entry.name for entry in listed.value] == [REPORT.format(2), REPORT.format(1)]
    first = reports.get(**name, **where, report_id=REPORT.format(1)).properties
    assert first.compliance_status == "NonCompliant"
    assert first.end_time - first.start_time == timedelta(seconds=1)
    assert first.details.operation_type == "Initial"
    assert first.details.resources[0].reasons[0].code == "nxFile:nxFile:Contents"
    assert first.vm.uuid == machine["vm_id"]

    again = on.create_or_update(**name, **where, parameters=wanted("TimeZone"))
    assert again.properties.compliance_status == "Pending"
    assert on.delete(**name, **where) is None
    for gone in (on.get, on.delete):
        with pytest.raises(ResourceNotFoundError):
            gone(**name, **where)
    with pytest.raises(ResourceNotFoundError):
        reports.list(**name, **where)
    assert running_cloud.stored("resources", made.id) is None


def test_lists_of_machine_group_and_subscription_name_the_same(client, machine):
    on = client.guest_configuration_hcrp_assignments
    where = {"resource_group_name": GROUP, "machine_name": MACHINE}
    for name in ("ListA", "ListB"):
        on.create_or_update(guest_configuration_assignment_name=name, **where, parameters=wanted(name))
    everywhere = client.guest_configuration_assignments
    lists = (on.list(**where), everywhere.rg_list(GROUP), everywhere.subscription_list())
    for found in lists:
        names = [entry.name for entry in found if entry.id.startswith(machine["path"])]
        assert names == ["ListA", "ListB"]
    for name in ("ListA", "ListB"):
        on.delete(guest_configuration_assignment_name=name, **where)
    assert list(on.list(**where)) == []


def test_body_without_a_configuration_is_a_400_that_names_the_member(client, machine):
    assert machine
    with pytest.raises(HttpResponseError) as error:
        client.guest_configuration_hcrp_assignments.create_or_update(
            guest_configuration_assignment_name="Bad",
            resource_group_name=GROUP,
            machine_name=MACHINE,
            parameters=GuestConfigurationAssignment(properties=GuestConfigurationAssignmentProperties()),
        )
    assert error.value.status_code == 400
    assert error.value.error.code == "InvalidRequestContent"
    assert "guestConfiguration.name" in error.value.error.message


def test_assignments_of_azure_machines_of_all_kinds_are_kept(client, world):
    assert world
    vm = {"resource_group_name": GROUP, "vm_name": "vm1", "guest_configuration_assignment_name": "A"}
    on = client.guest_configuration_assignments
    assert on.create_or_update(**vm, parameters=wanted("A")).properties.compliance_status == "Pending"
    assert [entry.name for entry in on.list(GROUP, "vm1")] == ["A"]
    assert client.guest_configuration_assignment_reports.list(**vm).value == []
    assert on.delete(**vm) is None
    assert list(on.list(GROUP, "vm1")) == []


def test_operations_of_the_provider_are_listed(client):
    names = {entry.name for entry in client.operations.list()}
    assert "Microsoft.GuestConfiguration/guestConfigurationAssignments/write" in names
    assert "Microsoft.GuestConfiguration/guestConfigurationAssignments/reports/read" in names


def test_package_is_read_by_the_storage_sdk_through_its_signed_address(running_cloud):
    token = (running_cloud.state / "admin.token").read_text().strip()
    content = bytes(range(256)) * 4_000
    transport = httpx.HTTPTransport(uds=str(running_cloud.state / "admin.sock"))
    with httpx.Client(transport=transport, headers={"Authorization": f"Bearer {token}"}) as admin:
        made = admin.put("http://localhost/_fakecloud/blobs/clients/packages/Big.zip", content=content).json()
    with BlobClient.from_blob_url(
        made["url"],
        connection_verify=running_cloud.ca,
        max_single_get_size=300_000,
        max_chunk_get_size=250_000,
    ) as blob:
        properties = blob.get_blob_properties()
        assert (properties.size, properties.etag) == (len(content), made["etag"])
        target = io.BytesIO()
        assert blob.download_blob().readinto(target) == len(content)
        assert target.getvalue() == content
        assert blob.download_blob(offset=1_000, length=10).readall() == content[1_000:1_010]
    bad = made["url"].replace("sp=r", "sp=w")
    with (
        BlobClient.from_blob_url(bad, connection_verify=running_cloud.ca) as blob,
        pytest.raises(HttpResponseError) as error,
    ):
        blob.download_blob()
    assert error.value.status_code == 403
    assert error.value.error_code == "AuthenticationFailed"


def test_settings_of_the_command_line_reach_the_machine(start_cloud, tmp_path):
    options = (
        "--retention-seconds=1000",
        "--reapply-after-seconds=70",
        "--pull-seconds=20",
        "--arm-on-expiry=delete",
        "--reassign-after-expiry",
    )
    cloud = start_cloud(tmp_path / "state", *options)
    world = World(cloud)
    try:
        world.prepare()
        path, body = world.machine(0)
        vm_id = body["properties"]["vmId"]
        token = world.beat(path, vm_id)["token"]
        told = agent(world, {"vm_id": vm_id, "token": token}, "GET", "/assignments").json()
        names = ("retentionSeconds", "reapplyAfterSeconds", "nextSeconds")
        assert [told[name] for name in names] == [1000, 70, 20]
    finally:
        world.client.close()
        cloud.stop()
