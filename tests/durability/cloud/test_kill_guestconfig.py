"""Assignments, pulls and reports that were acknowledged survive kill -9, and so do uploaded packages."""

from __future__ import annotations

import httpx
from onboarded import World
from running import restart

ASSIGNMENT = (
    "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments/Motd?api-version=2024-04-05"
)
REPORT = "11111111-2222-4333-8444-555555555555"
OPTIONS = ("--no-request-limits",)


def upload(cloud) -> dict[str, str]:
    token = (cloud.state / "admin.token").read_text().strip()
    transport = httpx.HTTPTransport(uds=str(cloud.state / "admin.sock"))
    with httpx.Client(transport=transport, headers={"Authorization": f"Bearer {token}"}) as admin:
        made = admin.put(
            "http://localhost/_fakecloud/blobs/acme/packages/Motd.zip", content=b"package" * 1_000
        )
    assert made.status_code == 201, made.text
    return made.json()


def agent(world, vm_id: str, token: str, method: str, path: str, **more) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
    return world.client.request(
        method,
        f"/gas/virtualMachines/{vm_id}{path}",
        params={"api-version": "sim-1"},
        headers=headers,
        **more,
    )


def test_what_was_acknowledged_is_there_after_a_kill(start_cloud, tmp_path):
    cloud = start_cloud(tmp_path / "state", *OPTIONS)
    world = World(cloud)
    world.prepare()
    subscription = world.group.rsplit("/", 2)[0]
    register = f"{subscription}/providers/Microsoft.GuestConfiguration/register?api-version=2022-09-01"
    world.client.post(register).raise_for_status()
    path, body = world.machine(0)
    vm_id = body["properties"]["vmId"]
    token = world.beat(path, vm_id)["token"]
    package = upload(cloud)
    content = {"contentUri": package["url"], "contentHash": package["contentHash"]}
    wanted = {"properties": {"guestConfiguration": {"name": "Motd", **content}}}
    url = f"{path}/{ASSIGNMENT}"
    assert world.client.put(url, json=wanted).status_code == 201
    pulled = agent(world, vm_id, token, "GET", "/assignments")
    item = pulled.json()["value"][0]
    report = {
        "assignmentName": "Motd",
        "assignmentHash": item["assignmentHash"],
        "itemGeneration": item["itemGeneration"],
        "configuration": {"name": "Motd", "version": "1.0.0"},
        "operationType": "Initial",
        "jobId": REPORT,
        "startTime": "2026-03-01T12:00:00Z",
        "endTime": "2026-03-01T12:00:05Z",
        "complianceStatus": "Compliant",
        "seq": 1,
    }
    where = f"/assignments/Motd/reports/{REPORT}"
    assert agent(world, vm_id, token, "PUT", where, json=report).status_code == 201
    before = world.client.get(url).json()
    cloud.kill()
    world.client.close()

    cloud = restart(cloud, *OPTIONS)
    with httpx.Client(verify=cloud.tls, base_url=cloud.url, headers=world.client.headers) as world.client:
        assert world.client.get(url).json() == before
        assert before["properties"]["complianceStatus"] == "Compliant"
        etag = {"If-None-Match": pulled.headers["etag"]}
        assert agent(world, vm_id, token, "GET", "/assignments", headers=etag).status_code == 304
        assert agent(world, vm_id, token, "PUT", where, json=report).status_code == 200
        assert world.client.put(url, json=wanted).status_code == 200
        again = agent(world, vm_id, token, "GET", "/assignments").json()["value"][0]
        assert again["itemGeneration"] == item["itemGeneration"] + 1
        query = package["url"].partition("?")[2]
        served = world.client.get(f"/blob/acme/packages/Motd.zip?{query}")
        assert served.content == b"package" * 1_000
    cloud.stop()
