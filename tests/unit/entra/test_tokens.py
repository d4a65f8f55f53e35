import base64
import hashlib
import hmac
import json
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from arcbed_cloud.services.entra import ARM_AUDIENCES, TokenError, Tokens
from arcbed_cloud.services.entra import tokens as module

ARM = "https://management.azure.com/"


def read(token: str) -> dict:
    return jwt.decode(token, options={"verify_signature": False})


def refused(tenant, token: str, audiences=ARM_AUDIENCES) -> str:
    with pytest.raises(TokenError) as caught:
        tenant.tokens.verify(token, audiences)
    assert caught.value.message
    return caught.value.reason


def forged(tenant, change: Callable[[dict], object], **header) -> str:
    """A token of the application with changed claims, signed with the tenant's own key."""
    token, _ = tenant.tokens.issue_application(tenant.app, ARM, acr="1")
    claims = read(token)
    change(claims)
    key = tenant.tokens.keys.current
    return jwt.encode(claims, key.private, "RS256", headers={"kid": key.kid, **header})


async def test_application_token_has_entras_claims(tenant):
    token, seconds = tenant.tokens.issue_application(tenant.app, ARM, acr="1")
    claims = read(token)
    assert seconds == 3599
    assert claims["exp"] - claims["nbf"] == 3900
    assert claims["aud"] == ARM
    assert claims["iss"] == claims["idp"] == f"https://sts.windows.net/{tenant.directory.tenant_id}/"
    assert claims["oid"] == claims["sub"] == tenant.app.object_id
    assert (claims["appid"], claims["appidacr"], claims["idtyp"]) == (tenant.app.app_id, "1", "app")
    assert claims["ver"] == "1.0"
    assert "xms_mirid" not in claims


async def test_machine_token_names_its_machine_and_lives_86700_seconds(tenant):
    token, seconds = tenant.tokens.issue_application(tenant.machine, ARM, acr="2")
    claims = read(token)
    assert claims["exp"] - claims["nbf"] == 86_700
    assert seconds == 86_399
    assert claims["xms_mirid"].startswith(
        "/subscriptions/s1/resourcegroups/rg1/providers/Microsoft.HybridCompute/"
    )
    assert claims["appidacr"] == "2"


async def test_user_token_names_the_person_and_the_application(tenant):
    token, _ = tenant.tokens.issue_user(tenant.person, ARM, app_id="cli")
    claims = read(token)
    assert claims["upn"] == claims["unique_name"] == tenant.person.user_principal_name
    assert (claims["appid"], claims["appidacr"], claims["idtyp"]) == ("cli", "0", "user")
    assert claims["scp"] == "user_impersonation"
    caller = tenant.tokens.verify(token, ARM_AUDIENCES)
    assert (caller.kind, caller.name, caller.app_id) == ("User", tenant.person.user_principal_name, "cli")


async def test_verified_caller_is_the_principal(tenant):
    token, _ = tenant.tokens.issue_application(tenant.machine, ARM, acr="2")
    caller = tenant.tokens.verify(token, ARM_AUDIENCES)
    assert caller.object_id == tenant.machine.object_id
    assert caller.resource_id == tenant.machine.resource_id
    assert caller.name == tenant.machine.app_id


@pytest.mark.parametrize("audience", sorted(ARM_AUDIENCES))
async def test_each_spelling_of_arm_is_accepted(tenant, audience):
    token, _ = tenant.tokens.issue_application(tenant.app, audience, acr="1")
    assert tenant.tokens.verify(token, ARM_AUDIENCES)


async def test_token_without_signature_is_refused(tenant):
    claims = read(tenant.tokens.issue_application(tenant.app, ARM, acr="1")[0])
    kid = tenant.tokens.keys.current.kid
    assert refused(tenant, jwt.encode(claims, "", "none", headers={"kid": kid})) == "algorithm"


async def test_token_signed_with_the_public_key_as_a_shared_secret_is_refused(tenant):
    claims = read(tenant.tokens.issue_application(tenant.app, ARM, acr="1")[0])
    key = tenant.tokens.keys.current
    pem = key.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": key.kid}).encode()).rstrip(b"=")
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")

    mac = hmac.new(pem, head + b"." + body, hashlib.sha256).digest()
    token = b".".join((head, body, base64.urlsafe_b64encode(mac).rstrip(b"="))).decode()
    assert refused(tenant, token) == "algorithm"


async def test_token_of_a_foreign_key_is_refused_under_our_name_and_its_own(tenant):
    claims = read(tenant.tokens.issue_application(tenant.app, ARM, acr="1")[0])
    foreign = rsa.generate_private_key(65537, 2048)
    ours = tenant.tokens.keys.current.kid
    assert refused(tenant, jwt.encode(claims, foreign, "RS256", headers={"kid": ours})) == "signature"
    assert refused(tenant, jwt.encode(claims, foreign, "RS256", headers={"kid": "other"})) == "signature"


async def test_token_of_another_tenant_is_refused(tenant):
    other = "99999999-2222-4333-8444-555555555555"
    token = forged(tenant, lambda claims: claims.update(iss=f"https://sts.windows.net/{other}/", tid=other))
    assert refused(tenant, token) == "issuer"


async def test_token_for_another_audience_is_refused_also_when_remembered(tenant):
    token, _ = tenant.tokens.issue_application(tenant.app, "https://vault.azure.net", acr="1")
    assert refused(tenant, token) == "audience"
    assert refused(tenant, token) == "audience"
    assert tenant.tokens.verify(token, frozenset({"https://vault.azure.net"}))


async def test_token_from_the_future_is_refused(tenant):
    later = tenant.clock.wall() + 3_600
    token = forged(tenant, lambda claims: claims.update(nbf=later, exp=later + 60))
    assert refused(tenant, token) == "not_yet_valid"


async def test_token_past_its_end_is_refused_also_when_remembered(tenant):
    token, seconds = tenant.tokens.issue_application(tenant.app, ARM, acr="1")
    assert tenant.tokens.verify(token, ARM_AUDIENCES)
    tenant.clock.shift = seconds + 2
    assert refused(tenant, token) == "expired"


async def test_machine_token_runs_out_when_the_bed_jumps(tenant):
    token, _ = tenant.tokens.issue_application(tenant.machine, ARM, acr="2")
    await tenant.clock.advance(seconds=86_390)
    assert tenant.tokens.verify(token, ARM_AUDIENCES)
    await tenant.clock.advance(seconds=11)
    assert refused(tenant, token) == "expired"


async def test_machine_token_survives_a_jump_where_the_switch_is_off(tenant):
    tenant = tenant.with_settings(machine_tokens_on_bed_clock=False)
    token, _ = tenant.tokens.issue_application(tenant.machine, ARM, acr="2")
    await tenant.clock.advance(days=30)
    assert tenant.tokens.verify(token, ARM_AUDIENCES)


async def test_token_of_a_person_survives_a_jump_of_the_bed(tenant):
    token, _ = tenant.tokens.issue_user(tenant.person, ARM, app_id="cli")
    await tenant.clock.advance(days=30)
    assert tenant.tokens.verify(token, ARM_AUDIENCES)


async def test_token_of_a_deleted_principal_is_refused_at_once(tenant):
    token, _ = tenant.tokens.issue_application(tenant.app, ARM, acr="1")
    assert tenant.tokens.verify(token, ARM_AUDIENCES)
    async with tenant.plane.store.unit() as unit:
        tenant.directory.remove(unit, tenant.app.object_id)
    assert refused(tenant, token) == "unknown_principal"


async def test_token_after_a_reset_is_refused(tenant):
    token, _ = tenant.tokens.issue_application(tenant.app, ARM, acr="1")
    assert tenant.tokens.verify(token, ARM_AUDIENCES)
    tenant.plane.store.reset()
    assert refused(tenant, token) in {"unknown_principal", "issuer"}


async def test_rotation_signs_with_a_new_key_and_keeps_the_last_one_good(tenant):
    token, _ = tenant.tokens.issue_application(tenant.app, ARM, acr="1")
    kid = tenant.tokens.rotate()
    assert (
        jwt.get_unverified_header(tenant.tokens.issue_application(tenant.app, ARM, acr="1")[0])["kid"] == kid
    )
    assert tenant.tokens.verify(token, ARM_AUDIENCES)
    tenant.tokens.rotate()
    assert refused(tenant, token) == "signature"


async def test_rotation_that_keeps_nothing_refuses_remembered_tokens(tenant):
    token, _ = tenant.tokens.issue_application(tenant.app, ARM, acr="1")
    assert tenant.tokens.verify(token, ARM_AUDIENCES)
    tenant.tokens.rotate(keep=0)
    assert refused(tenant, token) == "signature"


async def test_keys_survive_a_restart_and_are_private(tenant):
    token, _ = tenant.tokens.issue_application(tenant.app, ARM, acr="1")
    tenant.tokens.rotate()
    again = Tokens(tenant.plane, tenant.directory)
    assert again.verify(token, ARM_AUDIENCES)
    assert [key.kid for key in again.keys.published] == [key.kid for key in tenant.tokens.keys.published]
    assert (tenant.plane.settings.state / "token-keys.pem").stat().st_mode & 0o777 == 0o600


async def test_memory_of_tokens_is_bounded(tenant, monkeypatch):
    monkeypatch.setattr(module, "CACHE_SIZE", 3)
    issued = [tenant.tokens.issue_application(tenant.app, ARM, acr="1")[0] for _ in range(6)]
    for token in issued:
        assert tenant.tokens.verify(token, ARM_AUDIENCES)
    assert len(tenant.tokens._verified) == 3
    assert sum(map(len, tenant.tokens._by_principal.values())) == 3


@pytest.mark.parametrize("claim", ["aud", "iss", "tid", "oid", "exp", "nbf"])
async def test_token_that_lacks_a_claim_is_malformed(tenant, claim):
    assert refused(tenant, forged(tenant, lambda claims: claims.pop(claim))) == "malformed"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(text=st.text(alphabet=st.characters(codec="ascii"), max_size=80), cut=st.integers(0, 1300))
async def test_anything_that_is_not_our_token_is_refused_and_never_crashes(tenant, text, cut):
    token, _ = tenant.tokens.issue_application(tenant.app, ARM, acr="1")
    damaged = token[:cut] + text + token[cut + 1 :]
    if damaged != token:
        assert refused(tenant, damaged) in {"malformed", "signature", "algorithm"}
