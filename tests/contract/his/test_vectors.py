"""The control plane's side of the golden vectors in ``tests/contract/*.json``."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.utils import base64url_decode

from arcbed_cloud.clock import Keeper
from arcbed_cloud.providers.hybridcompute.keys import (
    PublicKeyError,
    key_id,
    pkcs1,
    read_public_key,
)
from arcbed_cloud.services.his import his_app
from arcbed_cloud.services.his.beats import metadata_hash
from arcbed_cloud.services.his.errors import HisError
from arcbed_cloud.services.his.proof import Proofs, Proven, body_hash

FOLDER = Path(__file__).parent.parent


def vectors(name):
    return json.loads((FOLDER / name).read_text())


def named(cases):
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


# -- public keys ---------------------------------------------------------------------------------------------


@named(vectors("public_key.json")["accepted"])
def test_public_key_is_written_and_named_as_the_vector_says(case):
    numbers = rsa.RSAPublicNumbers(
        int.from_bytes(base64url_decode(case["jwk"]["e"]), "big"),
        int.from_bytes(base64url_decode(case["jwk"]["n"]), "big"),
    )
    key = numbers.public_key()
    assert base64.b64encode(pkcs1(key)).decode() == case["encoded"]
    assert case["encoded"].startswith(case["prefix"])
    assert len(pkcs1(key)) == case["derBytes"]
    assert key_id(case["encoded"]) == case["kid"]
    assert read_public_key(case["encoded"]) == key


@named(vectors("public_key.json")["refused"])
def test_unusable_public_key_is_refused(case):
    with pytest.raises(PublicKeyError):
        read_public_key(case["encoded"])


# -- proof of possession -------------------------------------------------------------------------------------

POP = vectors("pop.json")


class FixedKeeper(Keeper):
    def wall(self) -> float:
        return float(POP["now"])


BODY = POP["request"]["body"].encode()


def check(jws, *, key=POP["publicKey"], body=BODY):
    url = POP["request"]["url"].partition("?")[0]
    proven = Proven(POP["machine"]["vmId"], POP["machine"]["resourceId"], "POST", url, body)
    Proofs(FixedKeeper("stepped")).check(jws, key, proven)


@named(POP["accepted"])
def test_proof_that_holds_is_accepted(case):
    check(case["jws"])


@named(POP["refused"])
def test_proof_that_does_not_hold_is_refused(case):
    with pytest.raises(HisError) as error:
        check(case["jws"])
    assert (error.value.status, error.value.code) == (case["status"], case["code"])


def test_proof_by_a_new_key_is_over_the_text_of_that_key():
    rotation = POP["rotation"]
    check(rotation["jws"], key=rotation["newPublicKey"], body=rotation["newPublicKey"].encode())


def test_empty_body_hashes_the_empty_string():
    assert body_hash(b"") == POP["emptyBody"]["bh"]


# -- metadata hash -------------------------------------------------------------------------------------------


@named(vectors("metadata_hash.json")["cases"])
def test_metadata_is_hashed_over_its_canonical_form(case):
    assert metadata_hash(case["metadata"]) == case["metadataHash"]


# -- discovery -----------------------------------------------------------------------------------------------


@named(vectors("discovery.json")["cases"])
async def test_discovery_answers_as_the_vector_says(bed, case):
    app = bed.cloud.asgi
    if case["base"].endswith("/his"):
        base = case["base"]
    else:
        app, base = his_app(bed.cloud.his), case["base"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as http:
        answer = await http.get(
            f"{base}/discovery", params={"location": case["location"], "api-version": case["apiVersion"]}
        )
    assert answer.status_code == case["status"]
    if "body" in case:
        assert answer.json() == case["body"]
    else:
        assert answer.json()["error"]["code"] == case["code"] == answer.headers["x-ms-error-code"]
