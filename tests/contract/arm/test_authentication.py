"""Who calls: the token of every call, before anything else is looked at."""

from __future__ import annotations

import pytest

from .conftest import BASE, OTHER, SUBSCRIPTION, TENANT, Arm, error

SUB = f"/subscriptions/{SUBSCRIPTION}"


async def test_call_without_a_token_is_401_with_a_challenge_that_names_the_authority(arm: Arm) -> None:
    answer = await arm.client.get(f"{SUB}?api-version=2022-12-01")
    assert error(answer) == (
        401,
        "AuthenticationFailed",
        "Authentication failed. The 'Authorization' header is missing.",
    )
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith(f'Bearer authorization_uri="{BASE}/{TENANT}", error="invalid_token"')
    assert answer.headers["x-ms-failure-cause"] == "gateway"


async def test_challenge_on_azures_own_host_name_names_azures_login_host(arm: Arm) -> None:
    answer = await arm.client.get(f"https://management.azure.com{SUB}?api-version=2022-12-01")
    assert (
        f'authorization_uri="https://login.microsoftonline.com/{TENANT}"'
        in answer.headers["www-authenticate"]
    )


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "nonsense", "Bearer é"])
async def test_authorization_header_of_another_shape_is_401_invalid_header(arm: Arm, header: str) -> None:
    answer = await arm.client.get(
        f"{SUB}?api-version=2022-12-01", headers={b"Authorization": header.encode("latin-1")}
    )
    assert error(answer)[:2] == (401, "AuthenticationFailedInvalidHeader")


@pytest.mark.parametrize(
    ("audience", "code"),
    [
        ("https://graph.microsoft.com", "InvalidAuthenticationTokenAudience"),
        ("https://management.azure.com", None),
        ("https://management.core.windows.net/", None),
        (BASE, None),
        (f"{BASE}/", None),
    ],
)
async def test_token_is_taken_for_azures_audiences_and_the_called_url_only(
    arm: Arm, audience: str, code: str | None
) -> None:
    token = arm.token(audience=audience)
    answer = await arm.client.get(
        f"{SUB}?api-version=2022-12-01", headers={"Authorization": f"Bearer {token}"}
    )
    assert answer.status_code == (200 if code is None else 401)
    if code is not None:
        assert error(answer)[1] == code
        assert "https://management.azure.com/" in error(answer)[2]


async def test_forged_token_is_401_invalid_token(arm: Arm) -> None:
    token = arm.token()
    forged = token[:-8] + ("AAAAAAAA" if not token.endswith("AAAAAAAA") else "BBBBBBBB")
    for bad in (forged, "a.b.c", "garbage"):
        answer = await arm.client.get(
            f"{SUB}?api-version=2022-12-01", headers={"Authorization": f"Bearer {bad}"}
        )
        assert error(answer)[:2] == (401, "InvalidAuthenticationToken")


async def test_token_of_a_deleted_principal_is_refused_on_the_next_call(arm: Arm) -> None:
    token = arm.token(OTHER)
    headers = {"Authorization": f"Bearer {token}"}
    assert (await arm.client.get("/subscriptions?api-version=2022-12-01", headers=headers)).status_code == 200
    async with arm.plane.store.unit() as unit:
        arm.directory.remove(unit, OTHER)
    assert (await arm.client.get("/subscriptions?api-version=2022-12-01", headers=headers)).status_code == 401
