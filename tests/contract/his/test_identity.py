"""The identity route: who gets a certificate, which, and how often."""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from uuid import UUID

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def guid() -> str:
    return str(UUID(int=secrets.randbits(128), version=4))


def leaf(credential):
    return x509.load_pem_x509_certificates(credential["certificate"].encode())[0]


def refused(answer, status, code):
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


@pytest.fixture
async def created(agent):
    await agent.put()
    return agent


async def test_first_certificate_names_the_machine_and_lives_for_ninety_days(bed, created):
    credential = (await created.identity()).json()
    certificate = leaf(credential)
    now = bed.clock.now()
    assert certificate.public_key() == created.key.public_key()
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == credential["client_id"]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [created.id]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert 0 < certificate.serial_number < 2**127
    whole = now.replace(microsecond=0)
    assert certificate.not_valid_before_utc == whole - timedelta(minutes=5)
    assert certificate.not_valid_after_utc == whole + timedelta(days=90)
    assert (
        credential["not_after"]
        == credential["cannot_renew_after"]
        == f"{whole + timedelta(days=90):%Y-%m-%dT%H:%M:%SZ}"
    )
    assert credential["renew_after"] == f"{whole + timedelta(days=45):%Y-%m-%dT%H:%M:%SZ}"
    assert credential["client_secret"] is None
    assert credential["authentication_endpoint"] == bed.his.removesuffix("his")
    assert credential["client_secret_url"].startswith(created.identity_url)
    assert credential["certificate"].count("BEGIN CERTIFICATE") == 2


async def test_get_without_body_is_a_first_certificate(bed, created):
    url = created.identity_url
    answer = await bed.http.get(
        url,
        params={"api-version": "sim-1"},
        headers={"Authorization": f"PoP {created.proof('GET', url, b'')}"},
    )
    assert answer.status_code == 200
    assert leaf(answer.json()).public_key() == created.key.public_key()


async def test_second_initial_request_returns_the_certificate_while_more_than_45_days_are_left(bed, created):
    first = (await created.identity()).json()
    await bed.clock.advance(days=44)
    assert (await created.identity()).json()["thumbprint"] == first["thumbprint"]
    await bed.clock.advance(days=2)
    assert (await created.identity()).json()["thumbprint"] != first["thumbprint"]


async def test_same_repeatability_id_returns_the_same_certificate_also_after_a_restart_of_memory(
    bed, created
):
    request_id = guid()
    await created.identity(request_id=request_id)
    await bed.clock.advance(days=50)
    await created.identity()
    other = guid()
    first = await created.identity(request_id=other)
    again = await created.identity(request_id=other)
    assert again.json() == first.json()
    assert again.headers["Repeatability-Result"] == "accepted"
    assert "Repeatability-Result" not in first.headers
    stored = bed.stored("identities", created.vm_id)
    assert request_id not in stored["repeats"], "forgotten after a day"
    assert other in stored["repeats"], "kept with the state"


async def test_proof_is_accepted_once(bed, created):
    url = created.identity_url
    headers = {"Authorization": f"PoP {created.proof('POST', url, b'{}')}"}
    first = await bed.http.post(url, params={"api-version": "sim-1"}, headers=headers, content=b"{}")
    again = await bed.http.post(url, params={"api-version": "sim-1"}, headers=headers, content=b"{}")
    assert first.status_code == 200
    refused(again, 401, "InvalidProof")


async def test_no_proof_another_key_or_another_machine_is_refused(bed, created, keys):
    url = created.identity_url
    refused(await bed.http.post(url, params={"api-version": "sim-1"}), 401, "InvalidProof")
    refused(await created.identity(key=keys[1]), 409, "KeyMismatch")
    created.vm_id = guid()
    refused(await created.identity(), 404, "MachineNotFound")


async def test_machine_made_without_a_key_cannot_be_claimed_by_any_key(bed, agent):
    body = {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "properties": {"vmId": agent.vm_id},
    }
    assert (await bed.arm("PUT", agent.id, body)).status_code == 200
    refused(await agent.identity(), 409, "KeyMismatch")


async def test_machine_without_identity_gets_no_certificate(agent):
    await agent.put(identity=None)
    refused(await agent.identity(), 403, "OperationNotAllowed")


async def test_renewal_needs_token_and_proof_and_keeps_the_old_certificate_good(bed, connected):
    old = connected.credential
    await bed.clock.advance(days=46)
    refused(await connected.identity("renew"), 401, "TokenExpired")
    await connected.get_token()
    renewed = await connected.identity("renew")
    assert renewed.status_code == 200
    assert leaf(renewed.json()).not_valid_after_utc > leaf(old).not_valid_after_utc
    assert (await connected.ask_token(old["certificate"])).status_code == 200
    assert (await connected.ask_token(renewed.json()["certificate"])).status_code == 200


async def test_renewal_with_the_token_of_another_machine_is_refused(connected, other):
    connected.token = other.token
    refused(await connected.identity("renew"), 403, "MachineMismatch")


async def test_rotation_moves_the_machine_to_the_new_key(bed, connected, keys):
    new = keys[1]
    url = connected.identity_url
    request_id = guid()

    def wish():
        proof = connected.proof("POST", url, connected.public(new).encode(), key=new)
        return {"newPublicKey": connected.public(new), "newKeyProof": proof}

    refused(await connected.identity("rotate"), 400, "InvalidRequest")
    refused(
        await connected.identity("rotate", newPublicKey=connected.public(new), newKeyProof="x.y.z"),
        401,
        "InvalidProof",
    )
    rotated = await connected.identity("rotate", request_id=request_id, **wish())
    assert leaf(rotated.json()).public_key() == new.public_key()
    assert (await bed.machine("web-01"))["properties"]["clientPublicKey"] == connected.public(new)

    repeated = await connected.identity("rotate", request_id=request_id, **wish())
    assert repeated.json() == rotated.json(), "a lost answer is not the end of the machine"
    refused(await connected.identity("renew"), 409, "KeyMismatch")
    assert (await connected.identity("renew", key=new)).status_code == 200
    assert (await connected.ask_token(rotated.json()["certificate"], key=new)).status_code == 200


async def test_deliver_hands_out_a_key_that_the_state_never_holds(bed, created):
    request_id = guid()
    first = (await created.identity(mode="deliver", request_id=request_id)).json()
    key, certificate, chain = pkcs12.load_key_and_certificates(base64.b64decode(first["client_secret"]), None)
    assert certificate == leaf(first)
    assert key.public_key() == certificate.public_key() != created.key.public_key()
    assert len(chain) == 1
    created.credential = first
    assert (await created.ask_token(key=key)).status_code == 200
    assert (await created.identity(mode="deliver", request_id=request_id)).json() == first
    assert first["client_secret"] not in str(bed.stored("identities", created.vm_id))


async def test_seventh_request_within_an_hour_is_refused(bed, created):
    for _ in range(6):
        assert (await created.identity()).status_code == 200
    answer = await created.identity()
    refused(answer, 429, "TooManyRequests")
    await bed.clock.advance(seconds=int(answer.headers["Retry-After"]))
    assert (await created.identity()).status_code == 200


async def test_expired_identity_cannot_be_renewed_or_replaced(bed, connected):
    await bed.clock.advance(days=90)
    refused(await connected.identity(), 403, "IdentityExpired")
    refused(await connected.identity("renew"), 403, "IdentityExpired")
    assert (await connected.ask_token()).status_code == 401


async def test_identity_not_ready_is_refused_as_often_as_asked(bed, created):
    bed.cloud.his.not_ready[created.vm_id] = 2
    for _ in range(2):
        answer = await created.identity()
        refused(answer, 403, "IdentityNotReady")
        assert answer.json()["error"]["innererror"]["retryable"] is True
    assert (await created.identity()).status_code == 200


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"reason":"because"}', b'{"mode":"steal"}', b'{"reason":null}']
)
async def test_unusable_body_is_a_bad_request(bed, created, body):
    url = created.identity_url
    headers = {"Authorization": f"PoP {created.proof('POST', url, body)}"}
    answer = await bed.http.post(url, params={"api-version": "sim-1"}, headers=headers, content=body)
    refused(answer, 400, "InvalidRequest")


async def test_server_asks_for_a_rotation_until_there_is_a_new_certificate(bed, connected):
    await bed.cloud.his.identities.ask(connected.vm_id, "renew")
    await bed.clock.advance(minutes=5)
    assert (await connected.beat()).json()["identity"] == {"action": "renew"}
    assert (await connected.identity("renew")).status_code == 200
    await bed.clock.advance(minutes=5)
    assert (await connected.beat()).json()["identity"] == {"action": "none"}
