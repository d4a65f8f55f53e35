"""Tokens for connect and disconnect: what is asked of Entra, and what its answers become."""

from __future__ import annotations

import base64
import json
import random
import stat
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from arcbed_agent.cli.credentials import Credentials, obtain
from arcbed_agent.cloud.endpoints import CLOUDS
from arcbed_agent.cloud.entra import ClientCertificate, EntraClient, claims_of
from arcbed_agent.cloud.transport import Transport
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError

LOGIN = "https://login.example"
SCOPE = "https://management.azure.com/.default"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


class HandClock:
    """Sleeping moves the time, and is written down."""

    def __init__(self) -> None:
        self.moment = NOW
        self.slept: list[float] = []

    def now(self):
        return self.moment

    def wall(self):
        return self.moment.timestamp()

    def monotonic(self):
        return self.wall()

    def task(self, _name):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_exc):
        return None

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.moment += timedelta(seconds=seconds)

    def running(self):
        return nullcontext()


class Entra:
    """Answers the requests in turn; the last answer is given for ever."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.clock = HandClock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        self.asked.append((request.url.path, form))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, document = answer
        return httpx.Response(status, json=document)

    def transport(self) -> Transport:
        return Transport(LocalConfig(), inner=httpx.MockTransport(self))

    def client(self, tenant="contoso.com") -> EntraClient:
        return EntraClient(self.transport(), LOGIN, tenant, self.clock, random.Random(1))


TOKEN = (200, {"access_token": "token-1"})
WRONG = (
    401,
    {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret.\r\nTrace ID: x"},
)
PENDING = (400, {"error": "authorization_pending"})
OFFER = (200, {"device_code": "d", "user_code": "U", "message": "go there", "interval": 5, "expires_in": 900})


async def test_secret_is_sent_as_client_credentials():
    entra = Entra(TOKEN)
    assert await entra.client().by_secret("app", "s3cret", SCOPE) == "token-1"
    assert entra.asked == [
        (
            "/contoso.com/oauth2/v2.0/token",
            {
                "grant_type": "client_credentials",
                "client_id": "app",
                "client_secret": "s3cret",
                "scope": SCOPE,
            },
        )
    ]


async def test_wrong_secret_is_41_at_once_with_entras_first_line():
    entra = Entra(WRONG)
    with pytest.raises(AgentError) as caught:
        await entra.client().by_secret("app", "wrong", SCOPE)
    assert caught.value.number == 41
    assert caught.value.message.endswith("AADSTS7000215: Invalid client secret.")
    assert "secret" in caught.value.advice
    assert entra.clock.slept == []


@pytest.mark.parametrize(
    "trouble", [httpx.ConnectError("no route"), (503, {"error": "temporarily_unavailable"}), (429, {})]
)
async def test_entra_out_of_reach_is_asked_again_until_it_answers(trouble):
    entra = Entra(trouble, trouble, trouble, TOKEN)
    assert await entra.client().by_secret("app", "s", SCOPE) == "token-1"
    assert entra.clock.slept == [1, 2, 4]


async def test_entra_out_of_reach_is_given_up_after_five_minutes():
    entra = Entra(httpx.ConnectError("no route"))
    with pytest.raises(AgentError) as caught:
        await entra.client().by_secret("app", "s", SCOPE)
    assert caught.value.number == 41
    assert "login.example" in caught.value.message
    assert 240 < sum(entra.clock.slept) <= 300


async def test_device_code_message_is_told_and_the_sign_in_awaited():
    entra, told = Entra(OFFER, PENDING, PENDING, TOKEN), []
    assert await entra.client("organizations").by_device_code(SCOPE, told.append) == "token-1"
    assert told == ["go there"]
    assert entra.clock.slept == [5, 5, 5]
    path, form = entra.asked[0]
    assert path == "/organizations/oauth2/v2.0/devicecode"
    assert form["scope"] == f"{SCOPE} offline_access openid profile"
    assert entra.asked[1][1]["device_code"] == "d"


async def test_device_code_slows_down_when_asked_to():
    entra = Entra(OFFER, (400, {"error": "slow_down"}), TOKEN)
    await entra.client().by_device_code(SCOPE, lambda _text: None)
    assert entra.clock.slept == [5, 10]


async def test_device_code_is_given_up_after_five_minutes():
    entra = Entra(OFFER, PENDING)
    with pytest.raises(AgentError) as caught:
        await entra.client().by_device_code(SCOPE, lambda _text: None)
    assert caught.value.number == 41
    assert sum(entra.clock.slept) == 300


async def test_device_code_that_was_declined_is_41_at_once():
    declined = (400, {"error": "authorization_declined", "error_description": "AADSTS65004: Declined."})
    entra = Entra(OFFER, PENDING, declined)
    with pytest.raises(AgentError, match="AADSTS65004"):
        await entra.client().by_device_code(SCOPE, lambda _text: None)
    assert entra.clock.slept == [5, 5]


# -- certificates --------------------------------------------------------------------------------------------


def certificate_for(key, name="app"):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    )
    builder = builder.serial_number(7).not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    return builder.sign(key, hashes.SHA256())


def pem_of(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@pytest.fixture(params=["pem", "pem-chain-first", "pfx"])
def certificate_file(request, key, tmp_path):
    leaf, other = certificate_for(key), certificate_for(ec.generate_private_key(ec.SECP256R1()), "ca")
    path = tmp_path / f"app.{request.param[:3]}"
    texts = [item.public_bytes(serialization.Encoding.PEM) for item in (leaf, other)]
    if request.param == "pfx":
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(b"app", key, leaf, [other], serialization.NoEncryption())
        )
    else:
        path.write_bytes(pem_of(key) + b"".join(texts if request.param == "pem" else texts[::-1]))
    return path


async def test_certificate_signs_a_fresh_assertion_for_every_try(certificate_file, key):
    entra = Entra(httpx.ConnectError("no route"), TOKEN)
    certificate = ClientCertificate.load(certificate_file)
    assert await entra.client().by_certificate("app", certificate, SCOPE) == "token-1"
    first, second = (form["client_assertion"] for _, form in entra.asked)
    audience = f"{LOGIN}/contoso.com/oauth2/v2.0/token"
    claims = jwt.decode(
        second,
        key.public_key(),
        ["RS256"],
        audience=audience,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    assert (claims["iss"], claims["sub"], claims["exp"] - claims["iat"]) == ("app", "app", 600)
    header = jwt.get_unverified_header(second)
    leaf = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
    assert leaf.public_key() == key.public_key()
    assert first != second


@pytest.mark.parametrize("kind", ["missing", "garbage", "no key", "other key", "elliptic", "password"])
def test_certificate_file_that_cannot_be_used_is_23(kind, key, tmp_path):
    path, leaf = tmp_path / "file", certificate_for(key).public_bytes(serialization.Encoding.PEM)
    curve = ec.generate_private_key(ec.SECP256R1())
    content = {
        "garbage": b"hello",
        "no key": leaf,
        "other key": pem_of(rsa.generate_private_key(public_exponent=65_537, key_size=2048)) + leaf,
        "elliptic": pem_of(curve) + certificate_for(curve).public_bytes(serialization.Encoding.PEM),
        "password": pkcs12.serialize_key_and_certificates(
            b"app", key, certificate_for(key), None, serialization.BestAvailableEncryption(b"pw")
        ),
    }.get(kind)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AgentError) as caught:
        ClientCertificate.load(path)
    assert caught.value.number == 23


# -- tokens of people ----------------------------------------------------------------------------------------


def token(**claims):
    return jwt.encode(claims, "x" * 32, algorithm="HS256")


def test_access_token_gives_its_claims():
    assert claims_of(token(exp=NOW.timestamp() + 60, tid="t"), now=NOW.timestamp())["tid"] == "t"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "a.b.c",
        "a.b",
        '{"token": "x"}',
        "System.Security.SecureString",
        token(),
        token(exp="soon"),
        token(exp=1),
        "é.é.é",
    ],
)
def test_text_that_is_no_living_token_is_12(text):
    with pytest.raises(AgentError) as caught:
        claims_of(text, now=NOW.timestamp())
    assert caught.value.number == 12


# -- the Azure CLI -------------------------------------------------------------------------------------------


@pytest.fixture
def azure_cli(tmp_path, monkeypatch):
    """Put an `az` on the path that does what the script says."""

    def install(script: str) -> None:
        program = tmp_path / "bin" / "az"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    return install


async def sign_in(session, cloud="AzureCloud"):
    entra = Entra(TOKEN)
    return await obtain(
        session, Credentials("azcli", tenant="t.example"), entra.transport(), CLOUDS[cloud], cloud
    )


async def test_azure_cli_is_asked_for_a_token_of_the_cloud_and_tenant(session, azure_cli, tmp_path):
    living = token(exp=4_000_000_000, tid="t")
    azure_cli(f"echo \"$@\" > {tmp_path}/asked; echo '{json.dumps({'accessToken': living})}'")
    found = await sign_in(session)
    assert (found.value, found.tenant) == (living, "t")
    resource = "--resource https://management.azure.com/"
    asked = f"account get-access-token {resource} --output json --tenant t.example"
    assert (tmp_path / "asked").read_text().strip() == asked


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo 'Please run az login' >&2; exit 1", "Please run az login"), ("echo nonsense", "no access token")],
)
async def test_azure_cli_that_gives_no_token_is_41(session, azure_cli, script, said):
    azure_cli(script)
    with pytest.raises(AgentError, match=said) as caught:
        await sign_in(session)
    assert caught.value.number == 41


async def test_azure_cli_that_is_not_there_is_41(session, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AgentError, match="not installed"):
        await sign_in(session)
