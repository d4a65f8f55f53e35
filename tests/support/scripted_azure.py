"""ARM, Entra and HIS for one machine, as a transport of httpx; tests script what differs from the usual."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from arcbed_cloud.clock import Keeper

ARM = "https://arm.test"
TENANT = "11111111-1111-4111-8111-111111111111"
SUBSCRIPTION = "22222222-2222-4222-8222-222222222222"

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


def error(
    status: int, code: str, message: str = "no", headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": message, **more}}, headers=headers)


def oauth_error(status: int, code: str, number: int) -> httpx.Response:
    body = {"error": code, "error_description": f"AADSTS{number}: no", "error_codes": [number]}
    return httpx.Response(status, json=body)


class FakeAzure:
    """ARM, Entra and HIS for one machine; `script` and `always` put answers before the real ones."""

    def __init__(self, clock: Keeper) -> None:
        self.clock = clock
        self.requests: list[httpx.Request] = []
        self.scripted: list[tuple[str, str, Answer]] = []
        self.always: dict[tuple[str, str], Callable[[], Answer]] = {}
        self.groups = {"arc"}
        self.registered = {
            "microsoft.hybridcompute",
            "microsoft.guestconfiguration",
            "microsoft.hybridconnectivity",
        }
        self.machines: dict[str, dict[str, Any]] = {}
        self.heartbeats: list[dict[str, Any]] = []
        self.issued: list[x509.Certificate] = []
        self.by_request: dict[str, dict[str, Any]] = {}
        self.seen_jti: set[str] = set()
        self.answer_more: dict[str, Any] = {}
        self.discovery_his = "https://weu.his.test"
        self.ca = ec.generate_private_key(ec.SECP256R1())

    def script(self, method: str, word: str, *answers: Answer) -> None:
        self.scripted.extend((method, word, answer) for answer in answers)

    def asked(self, method: str, word: str) -> list[httpx.Request]:
        return [item for item in self.requests if item.method == method and word in str(item.url)]

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        for entry in self.scripted:
            method, word, answer = entry
            if method == request.method and word in str(request.url):
                self.scripted.remove(entry)
                if isinstance(answer, Exception):
                    raise answer
                return answer(request) if callable(answer) else answer
        for (method, word), make in self.always.items():
            if method == request.method and word in str(request.url):
                answer = make()
                if isinstance(answer, Exception):
                    raise answer
                assert isinstance(answer, httpx.Response)
                return answer
        return self.real(request)

    def real(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == "/metadata/endpoints":
            return httpx.Response(
                200,
                json={
                    "authentication": {"loginEndpoint": "https://login.test/"},
                    "suffixes": {"relayEndpointSuffix": "relay.test"},
                    "dataplaneEndpoints": {
                        "arcHybridIdentityServiceEndpoint": "https://gbl.his.test",
                        "arcGlobalNotificationServiceEndpoint": "https://gns.test",
                        "arcGuestConfigurationServiceEndpoint": "https://gas.test",
                    },
                },
            )
        if path == "/discovery":
            return httpx.Response(
                200,
                json={
                    "location": "westeurope",
                    "his": self.discovery_his,
                    "gas": "https://gas.test",
                    "gns": "https://gns.test",
                    "relaySuffix": "relay.test",
                    "login": "https://login.test/",
                    "ttlSeconds": 86_400,
                },
            )
        if path.endswith("/oauth2/v2.0/token"):
            return self.token(request)
        if path.endswith("/identity"):
            return self.identity(request)
        if path.endswith("/heartbeat"):
            return self.heartbeat(request)
        return self.arm(request)

    def arm(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == "Bearer person"
        path = request.url.path
        words = path.strip("/").split("/")
        if "machines" in words:
            return self.machine(request, path)
        if "resourcegroups" in words:
            if request.method == "PUT":
                self.groups.add(words[-1])
                return httpx.Response(201, json={})
            return (
                httpx.Response(200, json={})
                if words[-1] in self.groups
                else error(404, "ResourceGroupNotFound")
            )
        if request.method == "POST":
            self.registered.add(words[-2].lower())
            return httpx.Response(200, json={"registrationState": "Registering"})
        state = "Registered" if words[-1].lower() in self.registered else "NotRegistered"
        return httpx.Response(200, json={"registrationState": state})

    def machine(self, request: httpx.Request, path: str) -> httpx.Response:
        found = self.machines.get(path)
        if request.method == "GET":
            return httpx.Response(200, json=found) if found else error(404, "ResourceNotFound")
        if request.method == "DELETE":
            return httpx.Response(200 if self.machines.pop(path, None) else 204)
        body = json.loads(request.content)
        if found and found["properties"]["clientPublicKey"] != body["properties"]["clientPublicKey"]:
            return error(409, "HCRP409", "the machine has another key")
        body["properties"]["provisioningState"] = "Creating"
        body["identity"] |= {"principalId": "33333333-3333-4333-8333-333333333333", "tenantId": TENANT}
        self.machines[path] = body
        return httpx.Response(200, json=body)

    def of_vm(self, request: httpx.Request) -> tuple[str, dict[str, Any]] | None:
        vm_id = request.url.path.split("/")[2]
        return next(
            ((key, item) for key, item in self.machines.items() if item["properties"]["vmId"] == vm_id), None
        )

    def identity(self, request: httpx.Request) -> httpx.Response:
        found = self.of_vm(request)
        if found is None:
            return error(404, "MachineNotFound")
        resource_id, document = found
        body = json.loads(request.content)
        scheme, _, value = request.headers["authorization"].partition(" ")
        if body["reason"] == "initial":
            assert scheme == "PoP"
        else:
            assert scheme == "Bearer"
            value = request.headers["x-arc-proof"]
        if (refusal := self.check_proof(request, value, document, request.content)) is not None:
            return refusal
        repeated = request.headers["repeatability-request-id"]
        if repeated in self.by_request:
            return httpx.Response(200, json=self.by_request[repeated])
        if body["reason"] == "rotate":
            new = {"properties": {**document["properties"], "clientPublicKey": body["newPublicKey"]}}
            refusal = self.check_proof(request, body["newKeyProof"], new, body["newPublicKey"].encode())
            if refusal is not None:
                return refusal
            document["properties"]["clientPublicKey"] = body["newPublicKey"]
        credential = self.issue(resource_id, document["properties"]["clientPublicKey"])
        self.by_request[repeated] = credential
        return httpx.Response(200, json=credential)

    def check_proof(
        self, request: httpx.Request, value: str, document: dict[str, Any], hashed: bytes
    ) -> httpx.Response | None:
        der = base64.b64decode(document["properties"]["clientPublicKey"])
        kid = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
        if jwt.get_unverified_header(value)["kid"] != kid:
            return error(409, "KeyMismatch")
        claims = jwt.decode(value, public_key(der), algorithms=["RS256"], options={"verify_aud": False})
        assert claims["htm"] == request.method
        assert claims["htu"] == str(request.url).partition("?")[0]
        assert claims["bh"] == base64.urlsafe_b64encode(hashlib.sha256(hashed).digest()).rstrip(b"=").decode()
        assert claims["jti"] not in self.seen_jti
        self.seen_jti.add(claims["jti"])
        return None

    def issue(self, resource_id: str, public_text: str) -> dict[str, Any]:
        now = self.clock.now()
        end = now + timedelta(days=90)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "44444444-4444-4444-8444-444444444444")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tenant")]))
            .public_key(public_key(base64.b64decode(public_text)))
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(end)
            .sign(self.ca, hashes.SHA256())
        )
        self.issued.append(certificate)
        return {
            "client_id": "44444444-4444-4444-8444-444444444444",
            "tenant_id": TENANT,
            "object_id": "33333333-3333-4333-8333-333333333333",
            "resource_id": resource_id,
            "authentication_endpoint": "https://login.test/",
            "certificate": certificate.public_bytes(serialization.Encoding.PEM).decode(),
            "client_secret": None,
            "not_before": now.isoformat(),
            "not_after": end.isoformat(),
            "renew_after": (now + timedelta(days=45)).isoformat(),
        }

    def token(self, request: httpx.Request) -> httpx.Response:
        form = dict(item.split("=", 1) for item in request.content.decode().split("&"))
        header = jwt.get_unverified_header(form["client_assertion"])
        leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
        assert leaf in self.issued
        key = leaf.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        jwt.decode(form["client_assertion"], key, algorithms=["RS256"], audience=str(request.url))
        if self.clock.now() >= leaf.not_valid_after_utc:
            return oauth_error(401, "invalid_client", 700024)
        audience = httpx.QueryParams(request.content.decode())["scope"].removesuffix("/.default")
        now = int(self.clock.wall())
        claims = {"aud": audience, "nbf": now, "iat": now, "exp": now + 86_700, "n": len(self.requests)}
        value = jwt.encode(claims, "k" * 32, algorithm="HS256")
        return httpx.Response(200, json={"access_token": value, "expires_in": 86_699, "token_type": "Bearer"})

    def heartbeat(self, request: httpx.Request) -> httpx.Response:
        found = self.of_vm(request)
        if found is None:
            return error(404, "MachineNotFound")
        self.heartbeats.append({"at": self.clock.now(), **json.loads(request.content)})
        resource_id, document = found
        machine = {
            "resourceId": resource_id,
            "name": "web-01",
            "location": "westeurope",
            "tags": document["tags"],
        }
        answer = {
            "nextSeconds": 300,
            "accepted": True,
            "sendMetadata": False,
            "machine": {**machine, "tagsGeneration": 1},
            "generations": {"assignments": 1, "extensions": 1, "config": 1},
            "identity": {"action": "none"},
        }
        return httpx.Response(200, json={**answer, **self.answer_more})


def public_key(der: bytes) -> rsa.RSAPublicKey:
    """PKCS#1 DER, which PEM readers take."""
    text = base64.encodebytes(der)
    pem = b"-----BEGIN RSA PUBLIC KEY-----\n" + text + b"-----END RSA PUBLIC KEY-----\n"
    key = serialization.load_pem_public_key(pem)
    assert isinstance(key, rsa.RSAPublicKey)
    return key
