"""What a machine is answered when it asks for its assignments: ``docs/wire.md`` sections 11.1 to 11.3."""

from __future__ import annotations

import httpx
import pytest

from arcbed_cloud.providers.guestconfiguration.hashes import assignment_hash, parameter_hash, parameter_text

PARAMETERS = [{"name": "[nxFile]motd;Contents", "value": "hello"}]
CONTENT = {"contentUri": "https://files.example.test/p/Motd.zip?sig=x", "contentHash": "ab" * 32}


async def test_discovery_names_the_regional_service(bed):
    ask = {"api-version": "sim-1", "location": "West Europe"}
    local = await bed.http.get("https://localhost:8443/gas/discovery", params=ask)
    assert local.json() == {"endpoint": "https://localhost:8443/gas"}
    azure = await bed.http.get("https://agentserviceapi.guestconfiguration.azure.com/discovery", params=ask)
    assert azure.json() == {"endpoint": "https://westeurope-gas.guestconfiguration.azure.com"}
    china = await bed.http.get(
        "https://agentserviceapi.guestconfiguration.azure.cn:8443/discovery", params=ask
    )
    assert china.json() == {"endpoint": "https://westeurope-gas.guestconfiguration.azure.cn:8443"}


async def test_discovery_of_an_unknown_region_is_404(bed):
    answer = await bed.http.get(
        "https://localhost:8443/gas/discovery", params={"api-version": "sim-1", "location": "mars"}
    )
    assert answer.status_code == 404
    error = answer.json()["error"]
    assert error["code"] == answer.headers["x-ms-error-code"] == "AgentServiceEndpointNotFound"
    assert error["message"].startswith("Agent service endpoint")


async def test_pull_carries_everything_that_the_machine_needs(bed):
    secret = [{"name": "[nxUser]u;Password", "value": "hunter2"}]
    await bed.assign(
        "Motd",
        kind="DSC",
        configurationParameter=PARAMETERS,
        configurationProtectedParameter=secret,
        **CONTENT,
    )
    document = (await bed.pull()).json()
    text = parameter_text(PARAMETERS)
    assert document == {
        "generation": 1,
        "nextSeconds": 300,
        "retentionSeconds": 1_209_600,
        "reapplyAfterSeconds": 900,
        "dropped": [],
        "value": [
            {
                "name": "Motd",
                "itemGeneration": 1,
                "assignmentHash": assignment_hash("ab" * 32, text),
                "parameterHash": parameter_hash(text),
                "context": None,
                "guestConfiguration": {
                    "kind": "DSC",
                    "name": "Motd",
                    "version": "1.0.0",
                    **CONTENT,
                    "contentType": "Custom",
                    "contentManagedIdentity": None,
                    "assignmentType": "ApplyAndAutoCorrect",
                    "assignmentSource": None,
                    "configurationParameter": PARAMETERS,
                    "configurationProtectedParameter": secret,
                    "configurationSetting": {
                        "configurationMode": "ApplyAndAutoCorrect",
                        "allowModuleOverwrite": False,
                        "actionAfterReboot": "ContinueConfiguration",
                        "refreshFrequencyMins": 5,
                        "rebootIfNeeded": False,
                        "configurationModeFrequencyMins": 15,
                    },
                },
            }
        ],
    }


async def test_pull_of_what_is_known_is_304_with_the_pace(bed):
    await bed.assign("Motd")
    first = await bed.pull()
    assert first.headers["etag"] == '"assignments.1"'
    again = await bed.pull(etag=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-arc-next-seconds"] == "300"
    assert again.headers["etag"] == first.headers["etag"]
    assert "x-sim-now" in again.headers


@pytest.mark.parametrize("change", ["identical", "other", "gone"])
async def test_change_in_arm_makes_the_next_pull_a_full_one(bed, change):
    await bed.assign("Motd")
    await bed.assign("Other")
    etag = (await bed.pull()).headers["etag"]
    if change == "identical":
        await bed.assign("Motd")
    elif change == "other":
        await bed.assign("New")
    else:
        await bed.arm("DELETE", bed.assignment("Motd"))
    answer = await bed.pull(etag=etag)
    assert answer.status_code == 200
    given = {item["name"]: item["itemGeneration"] for item in answer.json()["value"]}
    expected = {"Motd": 1, "Other": 1}
    if change == "identical":
        expected["Motd"] = 2
    elif change == "other":
        expected["New"] = 1
    else:
        del expected["Motd"]
    assert given == expected
    assert (await bed.pull(etag=answer.headers["etag"])).status_code == 304


async def test_report_does_not_make_the_next_pull_a_full_one(bed):
    await bed.assign("Motd")
    etag = (await bed.pull()).headers["etag"]
    assert (await bed.report("Motd")).status_code == 201
    assert (await bed.pull(etag=etag)).status_code == 304


async def test_machine_without_assignments_gets_an_empty_state(bed):
    assert (await bed.pull("web-02")).json()["value"] == []


async def test_assignments_of_another_machine_are_not_in_the_answer(bed):
    await bed.assign("Mine", "web-01")
    await bed.assign("Theirs", "web-02")
    assert await bed.names("web-01") == (["Mine"], [])
    assert await bed.names("web-02") == (["Theirs"], [])


async def test_token_of_another_machine_is_refused_and_is_no_contact(bed):
    await bed.assign("Motd")
    await bed.pull()
    before = bed.cloud.plane.store.get("pulls", "9a0d1c9e-2f10-4d53-9d5e-000000000001").document
    await bed.clock.advance(days=1)
    for method, path in (("GET", "/assignments"), ("PUT", "/assignments/Motd/reports/x")):
        answer = await bed.gas(method, path, who="web-02")
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "MachineMismatch"
    assert bed.cloud.plane.store.get("pulls", "9a0d1c9e-2f10-4d53-9d5e-000000000001").document == before


async def test_caller_without_a_token_is_refused(bed):
    answer = await bed.gas("GET", "/assignments", headers={"Authorization": ""})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "InvalidToken"


async def test_machine_that_is_gone_is_not_found(bed):
    token = {"Authorization": "Bearer x"}
    await bed.assign("Motd")
    await bed.pull()
    await bed.arm("DELETE", bed.machine(), version="2024-07-10")
    url = "https://localhost:8443/gas/virtualMachines/9a0d1c9e-2f10-4d53-9d5e-000000000001/assignments"
    answer = await bed.http.get(url, params={"api-version": "sim-1"}, headers=token)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "MachineNotFound"
    assert bed.cloud.plane.store.get("pulls", "9a0d1c9e-2f10-4d53-9d5e-000000000001") is None
    assert not bed.cloud.plane.store.rows("reports")


async def test_other_version_of_the_contract_is_refused_with_the_known_ones(bed):
    answer = await bed.gas("GET", "/assignments", version="2024-04-05")
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["details"][0]["message"]) == ("UnsupportedApiVersion", "sim-1")


async def test_unknown_route_is_404_in_the_shape_of_the_service(bed):
    answer = await bed.gas("GET", "/secrets")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NotFound"
    assert (await bed.gas("DELETE", "/assignments")).status_code == 405


async def test_long_answer_comes_in_pages(bed):
    for number in range(5):
        value = [{"name": "Baseline;Settings", "value": f"{number}" * 50_000}]
        await bed.assign(f"A{number}", configurationParameter=value)
    first = (await bed.pull()).json()
    token = (await bed.pull()).request.headers["authorization"]
    found, page = [], first
    while True:
        found += [item["name"] for item in page["value"]]
        assert len(page["value"]) < 5
        if "nextLink" not in page:
            break
        answer = await bed.http.get(page["nextLink"], headers={"Authorization": token})
        assert answer.status_code == 200, answer.text
        page = answer.json()
    assert found == [f"A{number}" for number in range(5)]
    await bed.assign("A9")
    stale = await bed.http.get(first["nextLink"], headers={"Authorization": token})
    assert stale.status_code == 412
    assert stale.json()["error"]["code"] == "PreconditionFailed"


async def test_storage_address_is_one_that_works_where_there_is_no_dns(bed):
    await bed.assign("Motd", contentUri="https://acme.blob.core.windows.net/p/Motd.zip?sv=1&sig=a%2Bb")
    by_path = (await bed.pull()).json()["value"][0]["guestConfiguration"]["contentUri"]
    assert by_path == "https://localhost:8443/blob/acme/p/Motd.zip?sv=1&sig=a%2Bb"
    by_name = await bed.gas("GET", "/assignments", host="https://westeurope-gas.guestconfiguration.azure.com")
    given = by_name.json()["value"][0]["guestConfiguration"]["contentUri"]
    assert given == "https://acme.blob.core.windows.net/p/Motd.zip?sv=1&sig=a%2Bb"
    assert (await bed.shown("Motd"))["guestConfiguration"]["contentUri"] == given


async def test_state_of_pulls_survives_the_process(bed):
    await bed.assign("Motd")
    etag = (await bed.pull()).headers["etag"]
    await bed.restart()
    assert (await bed.pull(etag=etag)).status_code == 304
    assert isinstance(bed.http, httpx.AsyncClient)


async def test_heartbeat_tells_the_generation_of_the_assignments(bed):
    await bed.assign("Motd")
    await bed.assign("Motd")
    row = bed.cloud.machines.get(bed.machine().lower())
    token = bed.token(row.document["identity"]["principalId"], "https://management.core.windows.net/")
    beat = {
        "instanceId": "11111111-2222-4333-8444-555555555555",
        "seq": 1,
        "agentVersion": "1.0.0",
        "status": "Connected",
        "metadataHash": "0" * 64,
    }
    answer = await bed.http.post(
        f"https://localhost:8443/his/machine/{row.document['properties']['vmId']}/heartbeat",
        params={"api-version": "sim-1"},
        headers={"Authorization": f"Bearer {token}"},
        json=beat,
    )
    assert answer.json()["generations"]["assignments"] == 2
