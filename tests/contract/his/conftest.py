"""A whole control plane in process, with a clock that stands still, and an agent of a few lines."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.in_process import BASE, client, plant

from arcbed_cloud.app import Cloud, build
from arcbed_cloud.settings import Settings

GROUP = "arc-servers"
VERSION = "2024-07-10"
AUDIENCE = "https://management.core.windows.net/"


def guid() -> str:
    return str(UUID(int=secrets.randbits(128), version=4))


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def pkcs1(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)


def public(key: rsa.RSAPrivateKey) -> str:
    return b64encode(pkcs1(key)).decode()


@pytest.fixture(scope="session")
def keys() -> list[rsa.RSAPrivateKey]:
    """Keys are slow to make and may be shared."""
    return [rsa.generate_private_key(65537, 2048) for _ in range(3)]


@dataclass
class Bed:
    cloud: Cloud
    http: httpx.AsyncClient
    subscription: str
    owner: str

    his: str = f"{BASE}/his"

    @property
    def clock(self):
        return self.cloud.plane.clock

    def machine_id(self, name: str) -> str:
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{GROUP}"
            f"/providers/Microsoft.HybridCompute/machines/{name}"
        )

    async def arm(
        self, method: str, path: str, body: Any = None, *, version: str = VERSION
    ) -> httpx.Response:
        return await self.http.request(
            method,
            f"{BASE}{path}",
            params={"api-version": version},
            json=body,
            headers={"Authorization": f"Bearer {self.owner}"},
        )

    async def machine(self, name: str, *, version: str = VERSION) -> dict[str, Any]:
        answer = await self.arm("GET", self.machine_id(name), version=version)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def stored(self, table: str, key: str) -> dict[str, Any] | None:
        row = self.cloud.plane.store.get(table, key.lower())
        return row.document if row else None


@dataclass
class Agent:
    bed: Bed
    name: str
    key: rsa.RSAPrivateKey
    vm_id: str = field(default_factory=guid)
    instance: str = field(default_factory=guid)
    seq: int = 0
    token: str = ""
    credential: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.bed.machine_id(self.name)

    @property
    def identity_url(self) -> str:
        return f"{self.bed.his}/machine/{self.vm_id}/identity"

    @staticmethod
    def public(key: rsa.RSAPrivateKey) -> str:
        return public(key)

    async def put(self, **more: Any) -> httpx.Response:
        properties = {"vmId": self.vm_id, "clientPublicKey": public(self.key), **more.pop("properties", {})}
        body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}, "properties": properties}
        return await self.bed.arm("PUT", self.id, body | more)

    def proof(
        self, method: str, url: str, content: bytes, *, key: rsa.RSAPrivateKey | None = None, **claims: Any
    ) -> str:
        key = key or self.key
        now = self.bed.clock.wall()
        payload = {
            "iss": self.vm_id,
            "sub": self.id,
            "htm": method,
            "htu": url,
            "bh": base64url(hashlib.sha256(content).digest()),
            "iat": now,
            "exp": now + 120,
            "jti": guid(),
            **claims,
        }
        kid = base64url(hashlib.sha256(pkcs1(key)).digest())
        return jwt.encode(payload, key, "RS256", {"typ": "arc-pop+jwt", "kid": kid})

    async def identity(
        self,
        reason: str = "initial",
        *,
        request_id: str = "",
        key: rsa.RSAPrivateKey | None = None,
        **more: Any,
    ) -> httpx.Response:
        url = self.identity_url
        content = json.dumps({"reason": reason, **more}).encode()
        proof = self.proof("POST", url, content, key=key)
        headers = {"Authorization": f"PoP {proof}"}
        if reason != "initial":
            headers = {"Authorization": f"Bearer {self.token}", "x-arc-proof": proof}
        if request_id:
            headers["Repeatability-Request-ID"] = request_id
        return await self.bed.http.post(
            url, params={"api-version": "sim-1"}, headers=headers, content=content
        )

    async def ask_token(
        self, certificate: str | None = None, key: rsa.RSAPrivateKey | None = None
    ) -> httpx.Response:
        chain = x509.load_pem_x509_certificates((certificate or self.credential["certificate"]).encode())
        endpoint = (
            f"{self.credential['authentication_endpoint']}{self.credential['tenant_id']}/oauth2/v2.0/token"
        )
        now = self.bed.clock.wall()
        assertion = jwt.encode(
            {
                "aud": endpoint,
                "iss": self.credential["client_id"],
                "sub": self.credential["client_id"],
                "jti": guid(),
                "nbf": now,
                "iat": now,
                "exp": now + 600,
            },
            key or self.key,
            "RS256",
            {
                "x5c": [b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in chain],
                "x5t": base64url(chain[0].fingerprint(hashes.SHA1())),
                "x5t#S256": base64url(chain[0].fingerprint(hashes.SHA256())),
            },
        )
        return await self.bed.http.post(
            endpoint,
            data={
                "grant_type": "client_credentials",
                "client_id": self.credential["client_id"],
                "scope": f"{AUDIENCE}/.default",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": assertion,
            },
        )

    async def get_token(self) -> None:
        answer = await self.ask_token()
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["access_token"]

    def beat_body(self, metadata: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        self.seq += 1
        canonical = json.dumps(metadata or {}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        body: dict[str, Any] = {
            "instanceId": self.instance,
            "seq": self.seq,
            "agentVersion": "1.0.0",
            "status": "Connected",
            "metadataHash": hashlib.sha256(canonical.encode()).hexdigest(),
        }
        if metadata is not None:
            body["metadata"] = metadata
        return body | more

    async def beat(self, metadata: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        return await self.send(self.beat_body(metadata, **more))

    async def send(self, body: dict[str, Any], **headers: str) -> httpx.Response:
        return await self.bed.http.post(
            f"{BASE}/his/machine/{self.vm_id}/heartbeat",
            params={"api-version": "sim-1"},
            headers={"Authorization": f"Bearer {self.token}", **headers},
            json=body,
        )

    async def connect(self) -> None:
        answer = await self.put()
        assert answer.status_code == 200, answer.text
        answer = await self.identity()
        assert answer.status_code == 200, answer.text
        self.credential = answer.json()
        await self.get_token()
        answer = await self.beat({"osName": "linux"})
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state after its first start: its keys take a second to make."""
    return plant(tmp_path_factory.mktemp("planted") / "state", seed="his")


@pytest.fixture
def changes() -> dict[str, Any]:
    """Settings that differ from the defaults; override it."""
    return {}


@pytest.fixture
def settings(tmp_path: Path, planted: Path, changes: dict[str, Any]) -> Settings:
    state = shutil.copytree(planted, tmp_path / "state")
    return Settings(state=state, clock="stepped", seed="his", **changes)


@pytest.fixture
async def bed(settings: Settings) -> AsyncIterator[Bed]:
    cloud = build(settings)
    await cloud.startup()
    estate = cloud.estate
    principal = cloud.directory.principal(estate.owner.objectId)
    assert principal is not None
    owner, _ = cloud.tokens.issue_application(principal, "https://management.azure.com/", acr="1")
    async with client(cloud) as http:
        bed = Bed(cloud, http, estate.subscription_id, owner)
        root = f"/subscriptions/{estate.subscription_id}"
        answer = await bed.arm(
            "PUT", f"{root}/resourceGroups/{GROUP}", {"location": "westeurope"}, version="2022-09-01"
        )
        assert answer.status_code == 201, answer.text
        answer = await bed.arm(
            "POST", f"{root}/providers/Microsoft.HybridCompute/register", version="2022-09-01"
        )
        assert answer.status_code == 200, answer.text
        yield bed
    await bed.cloud.shutdown()


@pytest.fixture
async def other(bed: Bed, keys: list[rsa.RSAPrivateKey]) -> Agent:
    """A second connected machine."""
    agent = Agent(bed, "web-02", keys[1])
    await agent.connect()
    return agent


@pytest.fixture
def agent(bed: Bed, keys: list[rsa.RSAPrivateKey]) -> Agent:
    return Agent(bed, "web-01", keys[0])


@pytest.fixture
async def connected(agent: Agent) -> Agent:
    await agent.connect()
    return agent
