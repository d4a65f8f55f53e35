"""What `az ad ...` and `az role assignment create --assignee` ask of Microsoft Graph."""

import pytest

GRAPH = "https://graph.microsoft.com"


@pytest.fixture
async def graph(authority):
    async with authority.at("graph.microsoft.com") as client:
        token = (await authority.with_secret(scope=f"{GRAPH}//.default")).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        client.base_url = f"{GRAPH}/v1.0"
        yield client


async def test_service_principal_is_found_by_application_id_as_the_cli_asks(authority, graph):
    owner = authority.cloud.estate.owner
    query = f"servicePrincipalNames/any(c:c eq '{owner.clientId}')"
    found = (await graph.get("/servicePrincipals", params={"$filter": query})).json()["value"]
    assert [entry["id"] for entry in found] == [owner.objectId]
    assert found[0]["appId"] == owner.clientId
    assert found[0]["passwordCredentials"][0]["secretText"] is None


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("displayName eq 'arcbed-owner'", ["arcbed-owner"]),
        ("startswith(displayName,'arcbed-')", ["arcbed-onboarding", "arcbed-owner"]),
        (
            "displayName eq 'arcbed-owner' or displayName eq 'ARCBED-ONBOARDING'",
            ["arcbed-onboarding", "arcbed-owner"],
        ),
        ("displayName eq 'it''s nobody'", []),
        ("displayName eq 'a or b'", []),
    ],
)
async def test_filters_of_the_clients_are_understood(graph, query, names):
    found = (await graph.get("/servicePrincipals", params={"$filter": query})).json()["value"]
    assert sorted(entry["displayName"] for entry in found) == names


async def test_filter_that_is_not_understood_is_refused(graph):
    answer = await graph.get("/servicePrincipals", params={"$filter": "length(displayName) gt 3"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "Request_UnsupportedQuery")


async def test_application_made_as_create_for_rbac_does_can_sign_in(authority, graph):
    made = await graph.post("/applications", json={"displayName": "rbac-app"})
    assert made.status_code == 201
    application = made.json()
    assert application["passwordCredentials"] == []
    password = await graph.post(
        f"/applications/{application['id']}/addPassword", json={"passwordCredential": {}}
    )
    secret = password.json()["secretText"]
    principal = await graph.post("/servicePrincipals", json={"appId": application["appId"]})
    assert principal.status_code == 201
    token = await authority.with_secret(client_id=application["appId"], client_secret=secret)
    assert token.status_code == 200
    twin = await graph.post("/servicePrincipals", json={"appId": application["appId"]})
    assert twin.status_code == 409
    assert (await graph.delete(f"/applications/{application['id']}")).status_code == 204
    assert (
        await authority.with_secret(client_id=application["appId"], client_secret=secret)
    ).status_code == 400


async def test_ids_are_resolved_with_their_types(authority, graph):
    estate = authority.cloud.estate
    body = {
        "ids": [estate.owner.objectId, estate.user.objectId, "gone"],
        "types": ["user", "servicePrincipal"],
    }
    found = (await graph.post("/directoryObjects/getByIds", json=body)).json()["value"]
    assert {entry["@odata.type"] for entry in found} == {
        "#microsoft.graph.servicePrincipal",
        "#microsoft.graph.user",
    }
    only = await graph.post("/directoryObjects/getByIds", json={**body, "types": ["user"]})
    assert [entry["id"] for entry in only.json()["value"]] == [estate.user.objectId]


async def test_machine_identity_is_shown_as_a_managed_identity(authority, graph):
    async with authority.cloud.plane.store.unit() as unit:
        machine = authority.cloud.directory.add_machine(unit, name="web-01", resource_id="/subscriptions/s/x")
    shown = (await graph.get(f"/servicePrincipals/{machine.object_id}")).json()
    assert shown["servicePrincipalType"] == "ManagedIdentity"
    assert "/subscriptions/s/x" in shown["alternativeNames"]


async def test_me_is_the_person_and_no_application(authority, graph):
    assert (await graph.get("/me")).status_code == 400
    person = authority.cloud.directory.principal(authority.cloud.estate.user.objectId)
    token, _ = authority.cloud.tokens.issue_user(person, GRAPH, app_id="cli")
    answer = await graph.get("/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["userPrincipalName"] == person.user_principal_name


async def test_users_are_found_by_name_and_groups_are_empty(authority, graph):
    user = authority.cloud.estate.user
    assert (await graph.get(f"/users/{user.userPrincipalName}")).json()["id"] == user.objectId
    assert (await graph.get("/groups")).json()["value"] == []
    assert (await graph.get("/users/nobody@x")).json()["error"]["code"] == "Request_ResourceNotFound"


async def test_application_without_privileges_may_not_write(authority, graph):
    onboarding = authority.cloud.estate.onboarding
    answer = await authority.with_secret(
        client_id=onboarding.clientId, client_secret=onboarding.clientSecret, scope=f"{GRAPH}/.default"
    )
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    refused = await graph.post("/applications", json={"displayName": "x"}, headers=bearer)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "Authorization_RequestDenied")


async def test_token_for_arm_is_refused(authority, graph):
    token = (await authority.with_secret()).json()["access_token"]
    answer = await graph.get("/servicePrincipals", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")


async def test_graph_below_a_prefix_takes_tokens_for_its_own_url(authority):
    answer = await authority.with_secret(scope="https://localhost:8443/graph//.default")
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await authority.client.get("/graph/v1.0/users", headers=bearer)).status_code == 200


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
async def test_body_that_is_no_object_is_refused(graph, content):
    assert (await graph.post("/applications", content=content)).status_code == 400
