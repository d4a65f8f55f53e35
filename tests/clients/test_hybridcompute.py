"""azure-mgmt-hybridcompute 10.x: every machine operation, compared with the database file."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

# A 2048-bit RSA public key in base64 PKCS#1, as `azcmagent genkey` prints one.
PUBLIC_KEY = (
    "MIIBCgKCAQEAuzYeH7VM+KlUXaBAXb8WL/ZsoAfyIzLioOKnH13U190GBu2swxOCNxWT0cfEO9u+E+MyvyJAjRmJCN+T"
    "Jbc/oGngg0TGb4npMU4keOJf+CXHjyY4iH44rrYZPvIab5AV8tzEgEAyEgVZa6w9ZJYkKjH6w6hq1g+43ck6J2Iqi5TQ"
    "GuEzWDlSUHtGrff+ZUoglso90eEw4bqmuyaz6amg8IRKD7hd1CJzFgFQaGOqctS3tT049LZb+O0rqMJGWWcadY/20M8z"
    "Bm/pSZ54olraj8cW1EsRcpYiINrdQA6RkBQ+qYKKnjrvhD76XFB/P0TkQZ7r07IU/uocZcULs7nBPQIDAQAB"
)
VM_ID = "7a0d1c9e-2f10-4d53-9d5e-0000000000{:02d}"


@pytest.fixture(autouse=True)
def _provider(registered):
    registered("Microsoft.HybridCompute")


def body(number: int, **more):
    return {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "properties": {"vmId": VM_ID.format(number)},
        **more,
    }


def test_machine_is_created_read_updated_and_deleted(running_cloud, hybridcompute, group):
    made = hybridcompute.machines.create_or_update(group, "web-01", body(1, tags={"env": "test"}))
    row = running_cloud.stored("resources", made.id)
    assert row["properties"]["vmId"] == VM_ID.format(1)
    assert made.identity.principal_id == row["identity"]["principalId"]
    assert running_cloud.stored("principals", made.identity.principal_id)["kind"] == "ServicePrincipal"

    read = hybridcompute.machines.get(group.upper(), "WEB-01", expand="instanceView")
    assert read.id == made.id
    assert read.tags == {"env": "test"}
    changed = hybridcompute.machines.update(group, "web-01", {"tags": {"env": "prod"}})
    assert changed.tags == {"env": "prod"}
    assert running_cloud.stored("resources", made.id)["tags"] == {"env": "prod"}

    poller = hybridcompute.machines.begin_delete(group, "web-01")
    poller.result(30)
    assert poller.done()
    assert running_cloud.stored("resources", made.id) is None
    assert running_cloud.stored("principals", made.identity.principal_id) is None
    with pytest.raises(ResourceNotFoundError) as error:
        hybridcompute.machines.get(group, "web-01")
    assert error.value.error.code == "ResourceNotFound"


def test_machines_are_listed_by_group_and_by_subscription(running_cloud, hybridcompute, group):
    for number in (11, 12, 13):
        hybridcompute.machines.create_or_update(group, f"list-{number}", body(number))
    names = [machine.name for machine in hybridcompute.machines.list_by_resource_group(group)]
    assert names == ["list-11", "list-12", "list-13"]
    listed = {machine.id.lower() for machine in hybridcompute.machines.list_by_subscription()}
    assert listed == set(running_cloud.stored_keys("resources", "microsoft.hybridcompute/machines"))


def test_second_machine_with_the_same_name_and_another_vm_id_is_a_conflict(hybridcompute, group):
    hybridcompute.machines.create_or_update(
        group, "twin", body(21) | {"properties": {"vmId": VM_ID.format(21), "clientPublicKey": PUBLIC_KEY}}
    )
    with pytest.raises(HttpResponseError) as error:
        hybridcompute.machines.create_or_update(
            group,
            "twin",
            body(22) | {"properties": {"vmId": VM_ID.format(22), "clientPublicKey": PUBLIC_KEY}},
        )
    assert error.value.status_code == 409
    assert error.value.error.code == "HCRP409"


def test_reserved_name_and_missing_vm_id_are_refused(hybridcompute, group):
    with pytest.raises(HttpResponseError) as error:
        hybridcompute.machines.create_or_update(group, "my-Windows-box", body(31))
    assert error.value.error.code == "ReservedResourceName"
    with pytest.raises(HttpResponseError) as error:
        hybridcompute.machines.create_or_update(group, "no-id", {"location": "westeurope"})
    assert error.value.error.code == "HCRP400"
