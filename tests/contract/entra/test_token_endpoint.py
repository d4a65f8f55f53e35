import base64
import re

import jwt
import pytest


def read(answer) -> dict:
    return jwt.decode(answer.json()["access_token"], options={"verify_signature": False})


def code_of(answer) -> int:
    return answer.json()["error_codes"][0]


async def test_secret_gets_a_bearer_token_for_arm(authority):
    answer = await authority.with_secret()
    body = answer.json()
    assert answer.status_code == 200
    assert (body["token_type"], body["expires_in"], body["ext_expires_in"]) == ("Bearer", 3599, 3599)
    assert "refresh_token" not in body
    assert answer.headers["cache-control"].startswith("no-store")
    assert read(answer)["aud"] == "https://management.azure.com"


async def test_secret_in_a_basic_header_works_like_one_in_the_body(authority):
    owner = authority.cloud.estate.owner
    value = base64.b64encode(f"{owner.clientId}:{owner.clientSecret}".encode()).decode()
    answer = await authority.client.post(
        f"/{authority.tenant}/oauth2/v2.0/token",
        data={"grant_type": "client_credentials", "scope": "https://management.azure.com/.default"},
        headers={"Authorization": f"Basic {value}"},
    )
    assert answer.status_code == 200


async def test_scope_with_a_double_slash_gives_an_audience_that_ends_in_one(authority):
    answer = await authority.with_secret(scope="https://management.core.windows.net//.default")
    assert read(answer)["aud"] == "https://management.core.windows.net/"


async def test_own_url_is_a_resource(authority):
    assert (
        read(await authority.with_secret(scope="https://localhost:8443/.default"))["aud"]
        == "https://localhost:8443"
    )


async def test_v1_endpoint_takes_a_resource_and_answers_in_strings(authority):
    owner = authority.cloud.estate.owner
    answer = await authority.token(
        "oauth2/token?api-version=1.0",
        grant_type="client_credentials",
        client_id=owner.clientId,
        client_secret=owner.clientSecret,
        resource="https://management.core.windows.net/",
    )
    body = answer.json()
    assert body["resource"] == read(answer)["aud"] == "https://management.core.windows.net/"
    assert all(isinstance(body[name], str) for name in ("expires_in", "expires_on", "not_before"))


async def test_wrong_secret_is_401_in_entras_shape(authority):
    answer = await authority.with_secret(client_secret="wrong")
    body = answer.json()
    assert answer.status_code == 401
    assert body["error"] == "invalid_client"
    assert body["error_codes"] == [7000215]
    lines = body["error_description"].split("\r\n")
    assert lines[0].startswith("AADSTS7000215: Invalid client secret provided.")
    assert lines[1] == f"Trace ID: {body['trace_id']}"
    assert lines[2] == f"Correlation ID: {body['correlation_id']}"
    assert lines[3] == f"Timestamp: {body['timestamp']}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", body["timestamp"])


async def test_client_request_id_comes_back_as_correlation_id_and_header(authority):
    mine = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
    answer = await authority.client.post(
        f"/{authority.tenant}/oauth2/v2.0/token", data={}, headers={"client-request-id": mine}
    )
    assert answer.json()["correlation_id"] == answer.headers["client-request-id"] == mine
    queried = await authority.client.post(f"/{authority.tenant}/oauth2/v2.0/token?client-request-id={mine}")
    assert queried.json()["correlation_id"] == mine


@pytest.mark.parametrize(
    ("changes", "status", "error", "code"),
    [
        ({"client_id": "00000000-1111-2222-3333-444444444444"}, 400, "unauthorized_client", 700016),
        ({"client_secret": ""}, 401, "invalid_client", 7000216),
        ({"client_id": ""}, 400, "invalid_request", 900144),
        ({"scope": ""}, 400, "invalid_request", 900144),
        ({"scope": "https://management.azure.com/user_impersonation"}, 400, "invalid_scope", 1002012),
        ({"scope": "https://nobody.example/.default"}, 400, "invalid_resource", 500011),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"grant_type": ""}, 400, "invalid_request", 900144),
    ],
)
async def test_bad_request_is_refused_with_its_own_code(authority, changes, status, error, code):
    answer = await authority.with_secret(**changes)
    assert (answer.status_code, answer.json()["error"], code_of(answer)) == (status, error, code)


async def test_application_at_a_shared_tenant_is_50059(authority):
    owner = authority.cloud.estate.owner
    form = {
        "grant_type": "client_credentials",
        "client_id": owner.clientId,
        "client_secret": owner.clientSecret,
        "scope": "https://management.azure.com/.default",
    }
    assert code_of(await authority.client.post("/common/oauth2/v2.0/token", data=form)) == 50059
    assert code_of(await authority.client.post("/no-such/oauth2/v2.0/token", data=form)) == 90002


async def test_expired_secret_is_7000222(authority):
    async with authority.cloud.plane.store.unit() as unit:
        authority.cloud.directory.expire_secrets(unit, authority.cloud.estate.owner.objectId)
    answer = await authority.with_secret()
    assert (answer.status_code, code_of(answer)) == (401, 7000222)


async def test_deleted_application_is_700016(authority):
    async with authority.cloud.plane.store.unit() as unit:
        authority.cloud.directory.remove(unit, authority.cloud.estate.owner.objectId)
    assert code_of(await authority.with_secret()) == 700016


async def test_body_beyond_the_cap_is_refused(authority):
    assert (await authority.with_secret(padding="x" * 70_000)).status_code == 413


async def test_body_that_is_no_form_is_refused(authority):
    answer = await authority.client.post(f"/{authority.tenant}/oauth2/v2.0/token", content=b"\xff\xfe=%")
    assert (answer.status_code, code_of(answer)) == (400, 9002313)


async def test_token_endpoint_asked_with_get_says_so(authority):
    answer = await authority.client.get(f"/{authority.tenant}/oauth2/v2.0/token")
    assert (answer.status_code, code_of(answer)) == (405, 900561)
    assert answer.headers["x-ms-request-id"] == answer.json()["trace_id"]


async def test_secret_works_after_a_reset(authority):
    await authority.cloud.bed.reset()
    assert (await authority.with_secret()).status_code == 200
