"""``Microsoft.HybridCompute/machines`` through ARM's front door."""

from __future__ import annotations

import json
import re
import secrets
from uuid import UUID

import pytest

from arcbed_cloud.providers.hybridcompute.versions import PUBLISHED

RO = {
    "status": "Error",
    "agentVersion": "9.9",
    "provisioningState": "Failed",
    "osName": "beos",
    "lastStatusChange": "2001-01-01T00:00:00Z",
    "detectedProperties": {"a": "b"},
}


def guid():
    return str(UUID(int=secrets.randbits(128), version=4))


def refused(answer, status, code):
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


def body(**more):
    properties = {"vmId": guid(), **more.pop("properties", {})}
    return {"location": "westeurope", "properties": properties, **more}


async def test_put_creates_with_200_and_answers_ids_in_arms_spelling(bed):
    path = (
        bed.machine_id("Web-01")
        .replace("resourceGroups", "resourcegroups")
        .replace("arc-servers", "ARC-Servers")
    )
    answer = await bed.arm("PUT", path.replace("machines", "MACHINES"), body(tags={"a": "b"}))
    assert answer.status_code == 200
    machine = answer.json()
    assert machine["id"] == bed.machine_id("Web-01")
    assert machine["type"] == "Microsoft.HybridCompute/machines"
    assert machine["name"] == "Web-01"
    assert machine["systemData"]["createdByType"] == "Application"
    assert (await bed.arm("GET", bed.machine_id("WEB-01"))).json() == machine


async def test_get_and_full_put_changes_nothing_that_the_agent_reported(bed, connected):
    machine = await bed.machine("web-01", version="2026-07-15")
    again = await bed.arm("PUT", connected.id, machine, version="2026-07-15")
    assert again.status_code == 200
    after = await bed.machine("web-01", version="2026-07-15")
    assert after["systemData"].pop("lastModifiedAt") >= machine["systemData"].pop("lastModifiedAt")
    assert after == machine


async def test_read_only_members_of_a_body_are_ignored(bed, connected):
    before = (await bed.machine("web-01", version="2026-07-15"))["properties"]
    answer = await bed.arm(
        "PUT", connected.id, {"location": "westeurope", "properties": RO}, version="2026-07-15"
    )
    assert answer.status_code == 200
    assert (await bed.machine("web-01", version="2026-07-15"))["properties"] == before


async def test_every_writable_member_of_a_version_is_kept(bed):
    written = {
        "locationData": {"name": "Redmond", "city": "r", "district": "d", "countryOrRegion": "usa"},
        "osType": "linux",
        "osProfile": {
            "linuxConfiguration": {"patchSettings": {"assessmentMode": "ImageDefault", "patchMode": "Manual"}}
        },
        "cloudMetadata": {},
        "parentClusterResourceId": "/subscriptions/x",
        "privateLinkScopeResourceId": "/subscriptions/y",
        "mssqlDiscovered": "true",
        "agentUpgrade": {
            "desiredVersion": "1.2",
            "enableAutomaticUpgrade": True,
            "lastAttemptStatus": "Success",
        },
        "serviceStatuses": {"extensionService": {"status": "running", "startupType": "automatic"}},
        "extensions": [],
    }
    path = bed.machine_id("m")
    answer = await bed.arm("PUT", path, body(kind="vmware", properties=written), version="2026-07-15")
    properties = answer.json()["properties"]
    assert answer.json()["kind"] == "VMware"
    del written["agentUpgrade"]["lastAttemptStatus"]
    for name, value in written.items():
        assert properties[name] == value


async def test_members_that_a_version_does_not_know_are_not_written_by_it(bed):
    wish = {"agentUpgrade": {"desiredVersion": "1.2"}, "locationData": {"name": "x"}}
    path = bed.machine_id("m")
    answer = await bed.arm("PUT", path, body(kind="VMware", properties=wish), version="2022-03-10")
    assert answer.status_code == 200
    machine = (await bed.arm("GET", path, version="2026-07-15")).json()
    assert "agentUpgrade" not in machine["properties"]
    assert "kind" not in machine
    assert machine["properties"]["locationData"] == {"name": "x"}


async def test_put_without_members_keeps_them_and_null_clears(bed):
    path = bed.machine_id("m")
    first = body(tags={"a": "b"}, properties={"locationData": {"name": "x", "city": "y"}, "osType": "linux"})
    await bed.arm("PUT", path, first)
    kept = (await bed.arm("PUT", path, {"location": "West Europe"})).json()
    assert kept["tags"] == {"a": "b"}
    assert kept["properties"]["vmId"] == first["properties"]["vmId"]
    assert kept["properties"]["osType"] == "linux"
    changed = {"location": "westeurope", "properties": {"locationData": {"name": "z"}, "osType": None}}
    cleared = (await bed.arm("PUT", path, changed)).json()
    assert cleared["properties"]["locationData"] == {"name": "z"}
    assert "osType" not in cleared["properties"]


async def test_patch_takes_its_own_members_only(bed, connected):
    wish = {
        "tags": {"only": "this"},
        "properties": {
            "osProfile": {"windowsConfiguration": {"patchSettings": {"patchMode": "Manual"}}},
            "osType": "windows",
            "vmId": guid(),
        },
    }
    await bed.arm("PATCH", connected.id, {"tags": {"before": "x"}})
    answer = await bed.arm("PATCH", connected.id, wish)
    assert answer.status_code == 200
    machine = answer.json()
    assert machine["tags"] == {"only": "this"}
    assert machine["properties"]["osProfile"] == wish["properties"]["osProfile"]
    assert machine["properties"].get("osType") is None
    assert machine["properties"]["vmId"] == connected.vm_id
    refused(await bed.arm("PATCH", bed.machine_id("nobody"), {"tags": {}}), 404, "ResourceNotFound")


@pytest.mark.parametrize("vm_id", [None, "", "x", 7, "{0f3a2b1c-5d4e-4f60-8a7b-9c0d1e2f3a4b}", "0" * 32])
async def test_missing_or_unusable_vm_id_is_hcrp400_with_its_target(bed, vm_id):
    answer = await bed.arm(
        "PUT", bed.machine_id("m"), {"location": "westeurope", "properties": {"vmId": vm_id}}
    )
    refused(answer, 400, "HCRP400")
    error = answer.json()["error"]
    assert error["message"].endswith("Missing or invalid properties: VmId.")
    assert error["target"] == f"{bed.subscription}/arc-servers/m"
    assert answer.headers["x-ms-failure-cause"] == "service"


@pytest.mark.parametrize(
    "change",
    [
        {"properties": {"clientPublicKey": "MIIB"}},
        {"properties": {"locationData": {"city": "x"}}},
        {"properties": {"osProfile": []}},
        {"properties": {"agentUpgrade": {"enableAutomaticUpgrade": "yes"}}},
        {"kind": "Toaster"},
        {"identity": {"type": "Sometimes"}},
        {"identity": {"type": "SystemAssigned, UserAssigned"}},
    ],
)
async def test_unusable_members_are_hcrp400_and_leave_no_machine(bed, change):
    refused(await bed.arm("PUT", bed.machine_id("m"), body(**change)), 400, "HCRP400")
    assert (await bed.arm("GET", bed.machine_id("m"))).status_code == 404
    assert bed.cloud.directory.search(name="m") == []


@pytest.mark.parametrize("change", [{"properties": []}, {"properties": "x"}, {"identity": "x"}, {"tags": []}])
async def test_body_of_the_wrong_shape_is_invalid_content(bed, change):
    refused(await bed.arm("PUT", bed.machine_id("m"), body() | change), 400, "InvalidRequestContent")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("my-Windows-box", "ReservedResourceName"),
        ("x" * 55, "InvalidResourceName"),
        ("a b", "InvalidResourceName"),
    ],
)
async def test_names_are_checked_on_creation(bed, name, code):
    refused(await bed.arm("PUT", bed.machine_id(name), body()), 400, code)


async def test_places_are_checked(bed):
    path = bed.machine_id("m")
    refused(await bed.arm("PUT", path, {"properties": {"vmId": guid()}}), 400, "LocationRequired")
    nowhere = body() | {"location": "atlantis"}
    refused(await bed.arm("PUT", path, nowhere), 400, "LocationNotAvailableForResourceType")
    await bed.arm("PUT", path, body())
    refused(await bed.arm("PUT", path, {"location": "eastus"}), 409, "InvalidResourceLocation")


async def test_another_vm_id_or_key_is_a_conflict_and_changes_nothing(bed, connected, keys):
    before = bed.stored("resources", connected.id)
    for change in ({"vmId": guid()}, {"clientPublicKey": connected.public(keys[1])}):
        answer = await bed.arm(
            "PUT", connected.id, {"location": "westeurope", "tags": {"x": "y"}, "properties": change}
        )
        refused(answer, 409, "HCRP409")
    assert bed.stored("resources", connected.id) == before
    same = {"vmId": connected.vm_id.upper(), "clientPublicKey": connected.public(connected.key)}
    assert (
        await bed.arm("PUT", connected.id, {"location": "westeurope", "properties": same})
    ).status_code == 200


async def test_vm_id_of_another_machine_is_a_conflict(bed, connected):
    answer = await bed.arm("PUT", bed.machine_id("other"), body(properties={"vmId": connected.vm_id}))
    refused(answer, 409, "HCRP409")


async def test_machine_made_ahead_awaits_its_agent_which_then_connects(bed, agent):
    ahead = body(identity={"type": "SystemAssigned"})
    machine = (await bed.arm("PUT", agent.id, ahead, version="2026-07-15")).json()
    assert machine["properties"]["status"] == "AwaitingConnection"
    assert "status" not in (await bed.machine("web-01", version="2022-03-10"))["properties"]
    await agent.connect()
    after = await bed.machine("web-01", version="2026-07-15")
    assert after["properties"]["status"] == "Connected"
    assert after["identity"] == machine["identity"]


class TestRekey:
    @pytest.fixture
    def changes(self):
        return {"allow_rekey": True}

    async def test_allowed_rekey_starts_anew_under_the_same_principal(self, bed, connected, keys):
        principal = (await bed.machine("web-01"))["identity"]["principalId"]
        old = connected.credential
        connected.key, connected.vm_id = keys[2], guid()
        answer = await connected.put()
        assert answer.status_code == 200
        assert answer.json()["identity"]["principalId"] == principal
        assert answer.json()["properties"]["provisioningState"] == "Creating"
        assert (await connected.ask_token(old["certificate"], key=keys[0])).status_code == 401
        await connected.connect()
        assert (await bed.machine("web-01"))["properties"]["status"] == "Connected"


class TestQuota:
    @pytest.fixture
    def changes(self):
        return {"machines_per_group": 2}

    async def test_one_machine_too_many_is_refused_and_a_deletion_makes_room(self, bed):
        for name in ("a", "b"):
            assert (await bed.arm("PUT", bed.machine_id(name), body())).status_code == 200
        refused(await bed.arm("PUT", bed.machine_id("c"), body()), 409, "ResourceQuotaExceeded")
        assert (await bed.arm("PUT", bed.machine_id("a"), {"location": "westeurope"})).status_code == 200
        await bed.arm("DELETE", bed.machine_id("a"))
        assert (await bed.arm("PUT", bed.machine_id("c"), body())).status_code == 200


async def test_identity_can_be_taken_away_and_given_again(bed, connected):
    before = (await bed.machine("web-01"))["identity"]["principalId"]
    none = await bed.arm("PATCH", connected.id, {"identity": {"type": "None"}})
    assert none.json()["identity"] == {"type": "None"}
    assert bed.stored("principals", before) is None
    assert (await connected.beat()).status_code == 401
    again = await bed.arm("PATCH", connected.id, {"identity": {"type": "SystemAssigned"}})
    assert again.json()["identity"]["principalId"] != before
    connected.credential = (await connected.identity()).json()
    await connected.get_token()
    await bed.clock.advance(minutes=5)
    assert (await connected.beat()).status_code == 200


async def test_old_versions_delete_at_once(bed, connected):
    assert (await bed.arm("DELETE", connected.id, version="2024-11-10-preview")).status_code == 200
    assert (await bed.arm("DELETE", connected.id, version="2024-11-10-preview")).status_code == 204
    refused(await bed.arm("GET", connected.id), 404, "ResourceNotFound")


async def test_new_versions_delete_with_a_monitor(bed, connected):
    answer = await bed.arm("DELETE", connected.id, version="2025-01-13")
    assert (answer.status_code, answer.content) == (202, b"")
    monitor = answer.headers["Azure-AsyncOperation"]
    assert "/locations/westeurope/operationstatus/" in monitor
    assert "/locations/westeurope/operationresults/" in answer.headers["Location"]
    await bed.clock.settled()
    headers = {"Authorization": f"Bearer {bed.owner}"}
    assert (await bed.http.get(monitor, headers=headers)).json()["status"] == "Succeeded"
    assert (await bed.http.get(answer.headers["Location"], headers=headers)).status_code == 200
    refused(await bed.arm("GET", connected.id), 404, "ResourceNotFound")
    assert (await bed.arm("DELETE", connected.id, version="2025-01-13")).status_code == 204
    assert (await connected.beat()).json()["error"]["code"] == "MachineNotFound"


async def test_machine_that_is_being_deleted_is_gone_for_its_agent_and_cannot_be_written(bed, connected):
    store = bed.cloud.plane.store
    async with store.unit() as unit:
        bed.cloud.machines.mark_deleting(unit, store.get("resources", connected.id.lower()))
    assert (await connected.beat()).json()["error"]["code"] == "MachineNotFound"
    refused(await bed.arm("PUT", connected.id, {"location": "westeurope"}), 409, "HCRP409")


async def test_deleting_the_group_takes_machines_with_their_identities(bed, connected, other):
    group = f"/subscriptions/{bed.subscription}/resourceGroups/arc-servers"
    assert (await bed.arm("DELETE", group, version="2022-09-01")).status_code == 202
    await bed.clock.settled()
    await bed.clock.advance(seconds=60)
    for machine in (connected, other):
        assert (await machine.beat()).json()["error"]["code"] == "MachineNotFound"
        assert bed.stored("principals", machine.credential["object_id"]) is None
        assert bed.stored("heartbeats", machine.vm_id) is None


async def test_lists_are_shaped_by_version_and_paged(bed):
    for number in range(5):
        await bed.arm("PUT", bed.machine_id(f"m-{number}"), body(kind="VMware"), version="2026-07-15")
    root = f"/subscriptions/{bed.subscription}"
    path = "/providers/Microsoft.HybridCompute/machines"
    grouped = (await bed.arm("GET", f"{root}/resourceGroups/ARC-servers{path}", version="2022-03-10")).json()
    assert [machine["name"] for machine in grouped["value"]] == [f"m-{number}" for number in range(5)]
    assert all("kind" not in machine for machine in grouped["value"])
    assert "nextLink" not in grouped
    headers = {"Authorization": f"Bearer {bed.owner}"}
    names, link = [], f"https://localhost:8443{root}{path}?api-version=2024-07-10&$top=2"
    while link:
        page = (await bed.http.get(link, headers=headers)).json()
        names += [machine["name"] for machine in page["value"]]
        link = page.get("nextLink")
    assert names == [f"m-{number}" for number in range(5)]


async def test_expand_knows_the_instance_view_only(bed, connected):
    url = f"https://localhost:8443{connected.id}"
    headers = {"Authorization": f"Bearer {bed.owner}"}
    params = {"api-version": "2024-07-10"}
    good = await bed.http.get(url, params=params | {"$expand": "instanceView"}, headers=headers)
    assert good.json()["properties"]["extensions"] == []
    refused(
        await bed.http.get(url, params=params | {"$expand": "everything"}, headers=headers),
        400,
        "InvalidExpandQueryOption",
    )


async def test_all_published_versions_are_served(bed, connected):
    for version in PUBLISHED:
        assert (await bed.machine("web-01", version=version))["properties"]["status"] == "Connected"
    refused(await bed.arm("GET", connected.id, version="2022-03-11"), 400, "NoRegisteredProviderFound")


async def test_two_puts_at_once_make_one_machine(bed):
    import asyncio

    path = bed.machine_id("race")
    answers = await asyncio.gather(
        *(
            bed.arm(
                "PUT", path, body(identity={"type": "SystemAssigned"}, properties={"clientPublicKey": KEY})
            )
            for _ in range(8)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert len(bed.cloud.directory.search(name="race")) == 1


KEY = (
    "MIIBCgKCAQEAuzYeH7VM+KlUXaBAXb8WL/ZsoAfyIzLioOKnH13U190GBu2swxOCNxWT0cfEO9u+E+MyvyJAjRmJCN+T"
    "Jbc/oGngg0TGb4npMU4keOJf+CXHjyY4iH44rrYZPvIab5AV8tzEgEAyEgVZa6w9ZJYkKjH6w6hq1g+43ck6J2Iqi5TQ"
    "GuEzWDlSUHtGrff+ZUoglso90eEw4bqmuyaz6amg8IRKD7hd1CJzFgFQaGOqctS3tT049LZb+O0rqMJGWWcadY/20M8z"
    "Bm/pSZ54olraj8cW1EsRcpYiINrdQA6RkBQ+qYKKnjrvhD76XFB/P0TkQZ7r07IU/uocZcULs7nBPQIDAQAB"
)


async def test_openapi_document_describes_machines_without_dangling_references(bed):
    document = bed.cloud.front.openapi()
    schemas = document["components"]["schemas"]
    machine = schemas["Machine"]["properties"]["properties"]["properties"]
    assert machine["agentVersion"]["readOnly"] is True
    assert "readOnly" not in machine["vmId"]
    text = json.dumps(document)
    for name in re.findall(r'"#/components/schemas/(\w+)"', text):
        assert name in schemas


async def test_operations_of_the_provider_are_listed(bed):
    answer = await bed.arm("GET", "/providers/Microsoft.HybridCompute/operations")
    names = {entry["name"] for entry in answer.json()["value"]}
    assert {f"Microsoft.HybridCompute/machines/{verb}" for verb in ("read", "write", "delete")} <= names
