import base64
import json

import jwt
import pytest

CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
SCOPE = "https://management.core.windows.net//.default offline_access openid profile"
LONG = "urn:ietf:params:oauth:grant-type:device_code"


async def started(authority, **changes) -> dict:
    form = {"client_id": CLI, "scope": SCOPE, **changes}
    answer = await authority.client.post(f"/{authority.tenant}/oauth2/v2.0/devicecode", data=form)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def poll(authority, code: dict, grant: str = LONG, **changes):
    text = code["device_code"]
    form = {
        "grant_type": grant,
        "client_id": CLI,
        "device_code": text,
        "code": text,
        "client_info": "1",
        **changes,
    }
    return await authority.token(**form)


async def approve(authority, code: dict, answer: str = "approve", **headers):
    form = {"code": code["user_code"], "user": authority.cloud.estate.user.objectId, "answer": answer}
    return await authority.client.post("/devicelogin", data=form, headers=headers)


async def test_device_code_says_where_and_what_to_enter(authority):
    code = await started(authority)
    assert code["verification_uri"] == "https://localhost:8443/devicelogin"
    assert (code["expires_in"], code["interval"]) == (900, 5)
    assert code["user_code"] in code["message"]
    assert code["verification_uri"] in code["message"]


@pytest.mark.parametrize("grant", [LONG, "device_code"])
async def test_approved_code_signs_the_person_in(authority, grant):
    code = await started(authority)
    pending = await poll(authority, code, grant)
    assert (pending.status_code, pending.json()["error"]) == (400, "authorization_pending")
    page = await approve(authority, code)
    assert page.status_code == 200
    body = (await poll(authority, code, grant)).json()
    person = authority.cloud.estate.user
    access = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert (access["oid"], access["aud"]) == (person.objectId, "https://management.core.windows.net/")
    identity = jwt.decode(body["id_token"], options={"verify_signature": False})
    assert identity["preferred_username"] == person.userPrincipalName
    assert (identity["tid"], identity["aud"]) == (authority.tenant, CLI)
    assert identity["iss"] == f"https://localhost:8443/{authority.tenant}/v2.0"
    info = json.loads(base64.urlsafe_b64decode(body["client_info"] + "=="))
    assert info == {"uid": person.objectId, "utid": authority.tenant}
    assert "https://management.core.windows.net//.default" in body["scope"].split()
    assert body["refresh_token"]


async def test_code_is_good_once(authority):
    code = await started(authority)
    await approve(authority, code)
    assert (await poll(authority, code)).status_code == 200
    assert (await poll(authority, code)).json()["error"] == "invalid_grant"


async def test_declined_code_tells_the_app(authority):
    code = await started(authority)
    assert (await approve(authority, code, "deny")).status_code == 200
    assert (await poll(authority, code)).json()["error"] == "authorization_declined"


async def test_code_that_ran_out_is_expired_token_and_cannot_be_approved(authority, monkeypatch):
    code = await started(authority)
    clock = authority.cloud.plane.clock
    later = clock.wall() + 901
    monkeypatch.setattr(clock, "wall", lambda: later)
    assert (await approve(authority, code)).status_code == 400
    answer = await poll(authority, code)
    assert (answer.json()["error"], answer.json()["error_codes"]) == ("expired_token", [70020])


async def test_code_of_another_application_or_made_up_is_bad(authority):
    code = await started(authority)
    other = await poll(authority, code, client_id="1950a258-227b-4e31-a9cf-717495945fc2")
    assert other.json()["error"] == "bad_verification_code"
    assert (await poll(authority, {"device_code": "made-up"})).json()["error"] == "bad_verification_code"


async def test_v1_device_code_is_answered_in_v1s_words(authority):
    answer = await authority.client.post(
        f"/{authority.tenant}/oauth2/devicecode?api-version=1.0",
        data={"client_id": CLI, "resource": "https://management.core.windows.net/"},
    )
    code = answer.json()
    assert code["verification_url"].endswith("/devicelogin")
    assert code["expires_in"] == "900"
    await approve(authority, code)
    token = await authority.token(
        "oauth2/token", grant_type="device_code", client_id=CLI, code=code["device_code"]
    )
    assert token.json()["resource"] == "https://management.core.windows.net/"
    assert token.json()["refresh_token"]


async def test_refresh_token_gives_new_tokens_also_for_another_resource(authority):
    code = await started(authority)
    await approve(authority, code)
    first = (await poll(authority, code)).json()
    form = {"grant_type": "refresh_token", "client_id": CLI, "refresh_token": first["refresh_token"]}
    second = (
        await authority.token(**form, scope="https://graph.microsoft.com//.default offline_access")
    ).json()
    access = jwt.decode(second["access_token"], options={"verify_signature": False})
    assert access["aud"] == "https://graph.microsoft.com/"
    assert second["refresh_token"] != first["refresh_token"]
    again = await authority.token(**{**form, "refresh_token": second["refresh_token"]}, scope=SCOPE)
    assert again.status_code == 200


async def test_refresh_token_of_another_client_or_made_up_is_refused(authority):
    code = await started(authority)
    await approve(authority, code)
    token = (await poll(authority, code)).json()["refresh_token"]
    for changes in ({"client_id": "1950a258-227b-4e31-a9cf-717495945fc2"}, {"refresh_token": "made-up"}):
        form = {"grant_type": "refresh_token", "client_id": CLI, "refresh_token": token, **changes}
        assert (await authority.token(**form)).json()["error"] == "invalid_grant"


async def test_refresh_token_of_a_deleted_person_is_refused(authority):
    code = await started(authority)
    await approve(authority, code)
    token = (await poll(authority, code)).json()["refresh_token"]
    async with authority.cloud.plane.store.unit() as unit:
        authority.cloud.directory.remove(unit, authority.cloud.estate.user.objectId)
    answer = await authority.token(grant_type="refresh_token", client_id=CLI, refresh_token=token)
    assert answer.json()["error_codes"] == [50034]


async def test_unknown_application_gets_no_device_code(authority):
    answer = await authority.client.post(
        f"/{authority.tenant}/oauth2/v2.0/devicecode", data={"client_id": "nobody", "scope": SCOPE}
    )
    assert answer.json()["error_codes"] == [700016]


async def test_grants_in_the_store_hold_no_code_or_token(authority):
    code = await started(authority)
    await approve(authority, code)
    refresh = (await poll(authority, code)).json()["refresh_token"]
    stored = b"".join(row.key.encode() + row.body for row in authority.cloud.plane.store.rows("grants"))
    assert code["device_code"].encode() not in stored
    assert refresh.encode() not in stored


async def test_page_is_plain_html_that_loads_nothing(authority):
    page = await authority.client.get("/devicelogin?otc=ABC")
    assert page.status_code == 200
    assert 'value="ABC"' in page.text
    assert authority.cloud.estate.user.userPrincipalName in page.text
    assert "src=" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_page_shows_what_was_typed_as_text(authority):
    page = await authority.client.get("/devicelogin", params={"otc": '"><b>x'})
    assert "<b>" not in page.text


async def test_form_from_another_site_is_refused(authority):
    code = await started(authority)
    for origin in ("https://evil.example", "null"):
        assert (await approve(authority, code, Origin=origin)).status_code == 403
    assert (await poll(authority, code)).json()["error"] == "authorization_pending"


async def test_form_from_the_page_itself_is_taken(authority):
    code = await started(authority)
    assert (await approve(authority, code, Origin="https://localhost:8443")).status_code == 200


async def test_wrong_code_on_the_page_says_so(authority):
    page = await approve(authority, {"user_code": "WRONGCODE"})
    assert page.status_code == 400
    assert "did not work" in page.text


async def test_typed_code_may_be_lower_case_with_dashes(authority):
    code = await started(authority)
    text = code["user_code"].lower()
    assert (await approve(authority, {"user_code": f"{text[:4]}-{text[4:]}"})).status_code == 200
