"""Client assertions in the spellings of the clients that send them."""

import base64
import uuid
from datetime import datetime, timedelta

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from arcbed_cloud.clock import Keeper
from arcbed_cloud.services.entra.errors import EntraError
from arcbed_cloud.services.entra.signin import ASSERTION_TYPE, Call

BASE = "https://localhost:8443"


def make_certificate(start: datetime | None = None, days: float = 30):
    key = rsa.generate_private_key(65537, 2048)
    start = start or Keeper().now() - timedelta(hours=1)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return certificate, key


@pytest.fixture(scope="module")
def pair():
    return make_certificate()


@pytest.fixture
async def certified(tenant, pair):
    async with tenant.plane.store.unit() as unit:
        tenant.directory.add_certificate(unit, tenant.app.object_id, pair[0])
    return tenant


def thumb(certificate: x509.Certificate, kind: hashes.HashAlgorithm, *, padded: bool) -> str:
    text = base64.urlsafe_b64encode(certificate.fingerprint(kind)).decode()
    return text if padded else text.rstrip("=")


def endpoint(tenant) -> str:
    return f"{BASE}/{tenant.directory.tenant_id}/oauth2/v2.0/token"


def claims(tenant, **changes) -> dict:
    now = tenant.clock.wall()
    return {
        "aud": endpoint(tenant),
        "iss": tenant.app.app_id,
        "sub": tenant.app.app_id,
        "jti": str(uuid.UUID(int=int(now * 1e6))),
        "iat": now,
        "exp": now + 600,
        **changes,
    }


async def send(tenant, assertion: str, *, base: str = BASE) -> dict:
    form = {
        "grant_type": "client_credentials",
        "client_id": tenant.app.app_id,
        "scope": "https://management.azure.com/.default",
        "client_assertion": assertion,
        "client_assertion_type": ASSERTION_TYPE,
    }
    return await tenant.signin.token(Call(base, tenant.directory.tenant_id, 2, form))


async def refusal(tenant, assertion: str, **more) -> EntraError:
    with pytest.raises(EntraError) as caught:
        await send(tenant, assertion, **more)
    return caught.value


@pytest.mark.parametrize(
    ("algorithm", "header"),
    [
        ("RS256", lambda c: {"x5t": thumb(c, hashes.SHA1(), padded=True)}),
        ("RS256", lambda c: {"x5t": thumb(c, hashes.SHA1(), padded=False)}),
        ("PS256", lambda c: {"x5t#S256": thumb(c, hashes.SHA256(), padded=False)}),
        ("PS256", lambda c: {"x5t#S256": thumb(c, hashes.SHA256(), padded=True)}),
        (
            "RS256",
            lambda c: {"x5c": [base64.b64encode(c.public_bytes(serialization.Encoding.DER)).decode()]},
        ),
        ("RS256", lambda c: {"kid": c.fingerprint(hashes.SHA1()).hex().upper()}),
    ],
    ids=["python", "unpadded", "javascript", "padded-256", "chain-only", "kid"],
)
async def test_assertion_in_each_clients_spelling_is_accepted(certified, pair, algorithm, header):
    certificate, key = pair
    answer = await send(certified, jwt.encode(claims(certified), key, algorithm, headers=header(certificate)))
    token = jwt.decode(answer["access_token"], options={"verify_signature": False})
    assert token["appidacr"] == "2"


def signed(tenant, pair, **changes) -> str:
    certificate, key = pair
    header = {"x5t": thumb(certificate, hashes.SHA1(), padded=True)}
    return jwt.encode(claims(tenant, **changes), key, "RS256", headers=header)


async def test_assertion_is_good_for_the_endpoint_as_the_client_spelled_it(certified, pair):
    host = "https://login.microsoftonline.com:8443"
    audience = f"{host}/{certified.directory.tenant_id}/oauth2/v2.0/token"
    assert await send(certified, signed(certified, pair, aud=audience), base=host)
    error = await refusal(certified, signed(certified, pair, aud=audience), base=BASE)
    assert (error.code, error.error) == (50012, "invalid_client")


@pytest.mark.parametrize(("iat", "exp"), [(-1_300, -700), (1_000, 1_600)])
async def test_assertion_outside_its_time_is_700024(certified, pair, iat, exp):
    now = certified.clock.wall()
    error = await refusal(certified, signed(certified, pair, iat=now + iat, exp=now + exp))
    assert (error.status, error.error, error.code) == (401, "invalid_client", 700024)


async def test_assertion_of_an_unregistered_key_is_700027_and_names_the_thumbprint(certified):
    stranger = make_certificate()
    error = await refusal(certified, signed(certified, stranger))
    assert error.code == 700027
    assert stranger[0].fingerprint(hashes.SHA1()).hex().upper() in error.message


async def test_assertion_that_names_a_registered_key_and_is_signed_by_another_is_700027(certified, pair):
    _, other = make_certificate()
    error = await refusal(certified, signed(certified, (pair[0], other)))
    assert error.code == 700027


async def test_assertion_that_carries_another_certificate_than_it_names_is_refused(certified, pair):
    stranger, _ = make_certificate()
    certificate, key = pair
    header = {
        "x5t": thumb(certificate, hashes.SHA1(), padded=True),
        "x5c": [base64.b64encode(stranger.public_bytes(serialization.Encoding.DER)).decode()],
    }
    error = await refusal(certified, jwt.encode(claims(certified), key, "RS256", headers=header))
    assert error.code == 50027


async def test_assertion_of_a_certificate_past_its_end_is_refused(tenant):
    old = make_certificate(start=Keeper().now() - timedelta(days=3), days=1)
    async with tenant.plane.store.unit() as unit:
        tenant.directory.add_certificate(unit, tenant.app.object_id, old[0])
    error = await refusal(tenant, signed(tenant, old))
    assert (error.code, error.error) == (700027, "invalid_client")
    assert "expired" in error.message


async def test_machine_certificate_lives_on_the_beds_clock(tenant):
    certificate, key = make_certificate(start=tenant.clock.now(), days=90)
    async with tenant.plane.store.unit() as unit:
        tenant.directory.add_certificate(unit, tenant.machine.object_id, certificate)

    async def attempt() -> dict:
        who = {"iss": tenant.machine.app_id, "sub": tenant.machine.app_id}
        header = {"x5t": thumb(certificate, hashes.SHA1(), padded=True)}
        form = {
            "grant_type": "client_credentials",
            "client_id": tenant.machine.app_id,
            "scope": "https://management.core.windows.net//.default",
            "client_assertion": jwt.encode(claims(tenant, **who), key, "RS256", headers=header),
            "client_assertion_type": ASSERTION_TYPE,
        }
        return await tenant.signin.token(Call(BASE, tenant.directory.tenant_id, 2, form))

    token = jwt.decode((await attempt())["access_token"], options={"verify_signature": False})
    assert token["aud"] == "https://management.core.windows.net/"
    await tenant.clock.advance(days=91)
    with pytest.raises(EntraError) as caught:
        await attempt()
    assert caught.value.error == "invalid_client"


@pytest.mark.parametrize("who", ["iss", "sub"])
async def test_assertion_that_speaks_for_another_application_is_700021(certified, pair, who):
    assert (await refusal(certified, signed(certified, pair, **{who: "other"}))).code == 700021


async def test_assertion_may_be_sent_again_as_msal_does_but_its_jti_names_no_second_one(certified, pair):
    first = signed(certified, pair, jti="one")
    await send(certified, first)
    await send(certified, first)
    error = await refusal(certified, signed(certified, pair, jti="one", extra=1))
    assert error.code == 50027


@pytest.mark.parametrize(
    "assertion",
    ["", "x", "a.b.c", "e30.e30.e30", jwt.encode({}, "k" * 32, "HS256"), jwt.encode({}, "", "none")],
)
async def test_assertion_that_is_none_is_refused(certified, assertion):
    error = await refusal(certified, assertion)
    assert error.error == "invalid_client"
