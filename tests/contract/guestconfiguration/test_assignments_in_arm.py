"""Guest assignments as ARM answers them."""

from __future__ import annotations

import pytest

PROVIDER = "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments"
PARAMETERS = [{"name": "[WindowsTimeZone]WindowsTimeZone1;TimeZone", "value": "(UTC-10:00) Hawaii"}]
CONTENT = {"contentUri": "https://a.blob.core.windows.net/p/x.zip", "contentHash": "ab" * 32}


async def test_put_of_a_new_assignment_is_201_pending_and_hashed(bed):
    answer = await bed.assign("Baseline", configurationParameter=PARAMETERS, **CONTENT)
    assert answer.status_code == 201
    made = answer.json()
    assert made["id"] == bed.assignment("Baseline")
    assert made["name"] == "Baseline"
    assert made["location"] == "westeurope"
    properties = made["properties"]
    assert properties["complianceStatus"] == "Pending"
    assert properties["lastComplianceStatusChecked"] is None
    assert properties["latestReportId"] is None
    assert properties["targetResourceId"] == bed.machine()
    assert properties["parameterHash"].startswith("W1dpbmRvd3NUaW1lWm9uZV1X")
    assert properties["assignmentHash"] == (
        "AB" * 32 + ".0D1E74D986A5332148F5D44AB3B1B6A7B274933BDAFD9FC3C05F5CCD9E9530C6"
    )
    configuration = properties["guestConfiguration"]
    assert configuration["contentType"] == "Custom"
    assert configuration["kind"] is None
    assert configuration["configurationSetting"]["configurationMode"] == "ApplyAndAutoCorrect"
    assert configuration["configurationParameter"] == PARAMETERS
    read = (
        await bed.arm("GET", bed.assignment("Baseline").upper().replace("/SUBSCRIPTIONS", "/subscriptions"))
    ).json()
    assert read == {**made, "properties": {**properties, "provisioningState": "Succeeded"}}


async def test_put_again_is_200_and_replaces_what_was_there(bed):
    await bed.assign("Baseline", configurationParameter=PARAMETERS)
    answer = await bed.assign("baseline", version="1.1.0")
    assert answer.status_code == 200
    assert answer.json()["name"] == "Baseline"
    configuration = answer.json()["properties"]["guestConfiguration"]
    assert configuration["version"] == "1.1.0"
    assert configuration["configurationParameter"] == []
    assert answer.json()["properties"]["parameterHash"] == ""


async def test_protected_parameter_is_never_shown(bed):
    secret = [{"name": "[nxUser]u;Password", "value": "hunter2"}]
    answer = await bed.assign("Users", configurationProtectedParameter=secret)
    assert "hunter2" not in answer.text
    shown = await bed.shown("Users")
    assert shown["guestConfiguration"]["configurationProtectedParameter"] == [
        {"name": "[nxUser]u;Password", "value": None}
    ]
    row = bed.cloud.assignments.get(bed.machine(), "Users")
    assert row.document["agent"]["protectedSettings"] == secret


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        ({"name": None}, "guestConfiguration.name' is required"),
        ({"name": 5}, "must be a string"),
        ({"assignmentType": "audit"}, "assignmentType"),
        ({"kind": "InSpec"}, "kind"),
        ({"configurationParameter": {"a": "b"}}, "must be an array"),
        ({"configurationParameter": ["a"]}, "configurationParameter[0]"),
        ({"configurationParameter": [{"name": "a"}]}, "a 'name' and a 'value'"),
        ({"configurationParameter": [{"name": "a", "value": 1}]}, "must be a string"),
    ],
)
async def test_body_that_no_machine_could_follow_is_refused_and_changes_nothing(bed, configuration, words):
    await bed.assign("Baseline")
    before = await bed.shown("Baseline")
    answer = await bed.assign("Baseline", **configuration)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "InvalidRequestContent"
    assert words in answer.json()["error"]["message"]
    assert await bed.shown("Baseline") == before


async def test_identity_of_the_content_is_known_from_2024_on(bed):
    await bed.assign("Private", contentManagedIdentity="system", **CONTENT)
    new = await bed.arm("GET", bed.assignment("Private"))
    old = await bed.arm("GET", bed.assignment("Private"), version="2022-01-25")
    assert new.json()["properties"]["guestConfiguration"]["contentManagedIdentity"] == "system"
    assert "contentManagedIdentity" not in old.json()["properties"]["guestConfiguration"]


async def test_lists_show_a_machines_a_groups_and_a_subscriptions_assignments(bed):
    for machine in ("web-01", "web-02"):
        for name in ("A", "B"):
            await bed.assign(name, machine)
    everywhere = f"{bed.group}/{PROVIDER}"
    listed = {
        "machine": await bed.arm("GET", bed.assignment("").rstrip("/")),
        "group": await bed.arm("GET", everywhere),
        "subscription": await bed.arm("GET", everywhere.replace("/resourceGroups/servers", "")),
    }
    for answer in listed.values():
        assert answer.status_code == 200
        assert all(entry["properties"]["provisioningState"] is None for entry in answer.json()["value"])
    assert [entry["name"] for entry in listed["machine"].json()["value"]] == ["A", "B"]
    four = [bed.assignment(name, machine) for machine in ("web-01", "web-02") for name in ("A", "B")]
    assert [entry["id"] for entry in listed["group"].json()["value"]] == four
    assert listed["subscription"].json() == listed["group"].json()


async def test_lists_of_nothing_are_empty_and_not_204(bed):
    answer = await bed.arm("GET", bed.assignment("").rstrip("/"))
    assert (answer.status_code, answer.json()) == (200, {"value": []})


async def test_delete_is_200_without_a_body_and_404_for_what_is_not_there(bed):
    await bed.assign("Baseline")
    answer = await bed.arm("DELETE", bed.assignment("Baseline"))
    assert (answer.status_code, answer.content) == (200, b"")
    for method in ("GET", "DELETE"):
        answer = await bed.arm(method, bed.assignment("Baseline"))
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "ResourceNotFound"


async def test_assignments_go_with_their_machine(bed):
    await bed.assign("Baseline")
    await bed.assign("Baseline", "web-02")
    assert (await bed.arm("DELETE", bed.machine(), version="2024-07-10")).status_code == 200
    everywhere = f"{bed.group}/{PROVIDER}"
    listed = (await bed.arm("GET", everywhere)).json()["value"]
    assert [entry["id"] for entry in listed] == [bed.assignment("Baseline", "web-02")]
    answer = await bed.assign("Baseline")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "ParentResourceNotFound"


async def test_fifty_assignments_fit_on_a_machine_and_no_more(bed):
    for number in range(50):
        assert (await bed.assign(f"A{number:02d}")).status_code == 201
    answer = await bed.assign("A50")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "ResourceQuotaExceeded"
    assert (await bed.assign("A49")).status_code == 200
    assert (await bed.assign("A50", "web-02")).status_code == 201


async def test_item_generation_grows_with_each_put_also_over_a_deletion(bed):
    def generation() -> int:
        return bed.cloud.assignments.get(bed.machine(), "Baseline").document["agent"]["itemGeneration"]

    await bed.assign("Baseline")
    assert generation() == 1
    await bed.assign("Baseline")
    assert generation() == 2
    await bed.arm("DELETE", bed.assignment("Baseline"))
    await bed.assign("Baseline")
    assert generation() == 3


async def test_assignment_of_a_virtual_machine_is_kept_and_stays_pending(bed):
    """There are no Azure virtual machines here; who asks about their assignments is answered all the same."""
    for parent in (
        "Microsoft.Compute/virtualMachines/vm1",
        "Microsoft.Compute/virtualMachineScaleSets/set1",
        "Microsoft.ConnectedVMwarevSphere/virtualmachines/vm2",
    ):
        path = f"{bed.group}/providers/{parent}/{PROVIDER}"
        body = {"location": "westeurope", "properties": {"guestConfiguration": {"name": "X"}}}
        made = await bed.arm("PUT", f"{path}/X", body)
        assert made.status_code == 201, made.text
        assert made.json()["properties"]["resourceType"] == parent.rpartition("/")[0]
        assert [entry["name"] for entry in (await bed.arm("GET", path)).json()["value"]] == ["X"]
        assert (await bed.arm("DELETE", f"{path}/X")).status_code == 200
        gone = await bed.arm("DELETE", f"{path}/X")
        assert gone.status_code == (404 if parent.endswith("vm1") else 204)


@pytest.mark.parametrize("place", ["{group}", "{group}/providers/Microsoft.Storage/storageAccounts/s"])
async def test_assignment_hangs_on_machines_only(bed, place):
    path = place.format(group=bed.group)
    answer = await bed.arm("GET", f"{path}/{PROVIDER}/x")
    assert answer.status_code == 404


async def test_writes_are_in_the_activity_log_and_in_the_list_of_operations(bed):
    await bed.assign("Baseline")
    row = bed.cloud.plane.store.tail("activity")[-1].document
    assert row["authorization"] == {
        "action": "Microsoft.GuestConfiguration/guestConfigurationAssignments/write",
        "scope": bed.assignment("Baseline"),
    }
    listed = await bed.arm("GET", "/providers/Microsoft.GuestConfiguration/operations")
    names = {entry["name"] for entry in listed.json()["value"]}
    root = "Microsoft.GuestConfiguration/guestConfigurationAssignments"
    assert names >= {f"{root}/read", f"{root}/write", f"{root}/delete", f"{root}/reports/read"}


async def test_onboarding_principal_reads_assignments_and_cannot_write_them(bed):
    await bed.assign("Baseline")
    token = bed.token(bed.cloud.estate.onboarding.objectId, "https://management.azure.com/")
    headers = {"Authorization": f"Bearer {token}"}
    url, query = f"https://localhost:8443{bed.assignment('Baseline')}", {"api-version": "2024-04-05"}
    assert (await bed.http.get(url, params=query, headers=headers)).status_code == 200
    body = {"properties": {"guestConfiguration": {"name": "x"}}}
    refused = await bed.http.put(url, params=query, headers=headers, json=body)
    assert refused.status_code == 403
    assert refused.json()["error"]["code"] == "AuthorizationFailed"
