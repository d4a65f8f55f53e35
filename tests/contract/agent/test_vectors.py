"""The agent's side of the golden vectors of the wire contract (``docs/wire.md`` section 17)."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from arcbed_agent.cloud.endpoints import CLOUDS, discover
from arcbed_agent.cloud.transport import CloudError, Transport
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.heartbeat import canonical, metadata_hash
from arcbed_agent.himds.keys import MachineKey

FOLDER = Path(__file__).parents[1]


def vectors(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def named(cases: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in cases]


def integer(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


class PublicOnly:
    """Stands for a private key of which only the public half is known."""

    def __init__(self, jwk: dict[str, str]) -> None:
        self._numbers = rsa.RSAPublicNumbers(integer(jwk["e"]), integer(jwk["n"]))

    def public_key(self) -> rsa.RSAPublicKey:
        return self._numbers.public_key()


@pytest.mark.parametrize("case", named(vectors("public_key")["accepted"]))
def test_public_key_is_written_as_arm_expects_it(case):
    key = MachineKey(PublicOnly(case["jwk"]))
    assert key.public_text == case["encoded"]
    assert key.kid == case["kid"]


def test_a_new_key_has_the_form_of_the_vectors():
    key = MachineKey.generate()
    example = vectors("public_key")["accepted"][0]
    assert key.public_text.startswith(example["prefix"])
    assert len(base64.b64decode(key.public_text)) == example["derBytes"]


@pytest.mark.parametrize("case", named(vectors("metadata_hash")["cases"]))
def test_metadata_is_hashed_over_its_canonical_form(case):
    assert canonical(case["metadata"]).decode() == case["canonical"]
    assert metadata_hash(case["metadata"]) == case["metadataHash"]


def signed(jws: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return jwt.get_unverified_header(jws), jwt.decode(jws, options={"verify_signature": False})


def test_proof_has_exactly_the_members_of_the_vector_and_its_signature():
    vector = vectors("pop")
    key = MachineKey.from_pem(vector["privateKey"].encode())
    assert key.public_text == vector["publicKey"]
    request = vector["request"]
    proof = key.proof(
        vm_id=vector["machine"]["vmId"],
        resource_id=vector["machine"]["resourceId"],
        method=request["method"],
        url=request["url"],
        body=request["body"].encode(),
        now=vector["now"],
        jti=vector["jti"],
    )
    header, payload = signed(proof)
    assert header == vector["header"]
    assert payload == vector["payload"]
    assert list(payload) == list(vector["payload"])
    public = serialization.load_pem_private_key(vector["privateKey"].encode(), None).public_key()
    jwt.decode(proof, public, algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False})


def test_proof_by_the_new_key_of_a_rotation_hashes_the_text_of_that_key():
    rotation = vectors("pop")["rotation"]
    payload = signed(rotation["jws"])[1]
    hashed = hashlib.sha256(rotation["newPublicKey"].encode()).digest()
    assert payload["bh"] == base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()
    key = MachineKey.from_pem(rotation["newPrivateKey"].encode())
    made = key.proof(
        vm_id=payload["iss"],
        resource_id=payload["sub"],
        method=payload["htm"],
        url=payload["htu"],
        body=key.public_text.encode(),
        now=payload["iat"],
        jti=payload["jti"],
    )
    assert signed(made) == (rotation["header"], payload)


@pytest.mark.parametrize(
    "case", named([case for case in vectors("discovery")["cases"] if case["apiVersion"] == "sim-1"])
)
async def test_discovery_answers_are_understood(case):
    def answer(request: httpx.Request) -> httpx.Response:
        assert str(request.url.copy_with(query=None)) == f"{case['base']}/discovery"
        assert request.url.params["api-version"] == "sim-1"
        if case["status"] != 200:
            return httpx.Response(case["status"], json={"error": {"code": case["code"], "message": "no"}})
        return httpx.Response(200, json=case["body"])

    endpoints = replace(CLOUDS["AzureCloud"], his=case["base"])
    async with Transport(LocalConfig(), inner=httpx.MockTransport(answer)) as transport:
        if case["status"] != 200:
            refused = AgentError if case["code"] == "UnknownLocation" else CloudError
            with pytest.raises(refused):
                await discover(transport, endpoints, case["location"])
            return
        region = await discover(transport, endpoints, case["location"])
    body = case["body"]
    assert (region.his, region.gas, region.gns) == (body["his"], body["gas"], body["gns"])
    assert region.relay_suffix == body["relaySuffix"]
    assert region.login == body["login"].rstrip("/")
    assert region.ttl_seconds == body["ttlSeconds"]
