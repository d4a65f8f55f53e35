"""Which service a request reaches, by host and by path."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed_cloud import hosts
from arcbed_cloud.dispatch import MAX_BODY, Dispatcher


def echo(name: str):
    async def app(scope, receive, send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        body = f"{name} {scope.get('root_path', '')} {scope['raw_path'].decode()} {size}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return app


@pytest.fixture
def client():
    services = {name: echo(name) for name in ("arm", "login", "his")}
    app = Dispatcher(services, echo("own"), frozenset({"fakecloud"}))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://localhost:8443")


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("management.azure.com", "/subscriptions", "arm  /subscriptions"),
        ("MANAGEMENT.azure.com:8443", "/login/x", "arm  /login/x"),
        ("login.microsoftonline.com", "/t/oauth2/token", "login  /t/oauth2/token"),
        ("login.windows.net", "/x", "login  /x"),
        ("eastus.login.microsoft.com", "/x", "login  /x"),
        ("weu.his.arc.azure.com", "/machine/1/heartbeat", "his  /machine/1/heartbeat"),
        ("localhost:8443", "/subscriptions/s", "arm  /subscriptions/s"),
        ("127.0.0.1:8443", "/metadata/endpoints", "arm  /metadata/endpoints"),
        ("[::1]:8443", "/", "arm  /"),
        ("fakecloud:443", "/", "arm  /"),
        ("10.0.0.7", "/", "arm  /"),
        ("localhost", "/arm/subscriptions", "arm /arm /subscriptions"),
        ("localhost", "/his", "his /his /"),
        ("localhost", "/his/machine/a%2Fb", "his /his /machine/a%2Fb"),
        ("localhost", "/login/t/oauth2/v2.0/token", "login /login /t/oauth2/v2.0/token"),
        ("localhost", "/t/oauth2/v2.0/token", "login  /t/oauth2/v2.0/token"),
        ("localhost", "/t/v2.0/.well-known/openid-configuration", "login  /t/v2.0/"),
        ("localhost", "/common/discovery/instance", "login  /common/discovery/instance"),
        ("localhost", "/devicelogin", "login  /devicelogin"),
        ("localhost", "/subscriptions/discovery/keys", "arm  /subscriptions/discovery/keys"),
        ("localhost", "/armada", "arm  /armada"),
        ("localhost", "/_fakecloud/health", "own  /_fakecloud/health"),
        ("management.azure.com", "/_fakecloud/health", "own  /_fakecloud/health"),
    ],
)
async def test_request_reaches_the_service_of_its_host_or_path(client, host, path, expected):
    answer = await client.get(path, headers={"Host": host})
    assert answer.text.startswith(expected)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("pas.windows.net", 404),
        ("guestnotificationservice.azure.com", 404),
        ("x.blob.core.windows.net", 404),
        ("azure.com.evil.example", 421),
        ("evilmanagement.azure.com.example", 421),
    ],
)
async def test_host_without_a_service_gets_an_error_in_azures_shape(client, host, status):
    answer = await client.get("/x", headers={"Host": host})
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message"}


async def test_body_that_grows_beyond_the_cap_while_it_arrives_is_refused(client):
    async def endless():
        while True:
            yield b"x" * 1_000_000

    answer = await client.post("/his/log", content=endless())
    assert answer.status_code == 413


async def test_body_within_the_cap_passes_whole(client):
    answer = await client.post("/his/log", content=b"x" * MAX_BODY)
    assert answer.text.endswith(str(MAX_BODY))


async def test_service_that_fails_is_a_500_without_details(client, caplog):
    async def broken(_scope, _receive, _send) -> None:
        raise RuntimeError("the secret reason")

    app = Dispatcher({"arm": broken}, echo("own"), frozenset())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://localhost") as failing:
        answer = await failing.get("/")
    assert answer.status_code == 500
    assert "secret reason" not in answer.text


@given(st.text(max_size=60))
def test_any_host_header_is_told_apart_without_a_crash(text):
    service = hosts.service_of(text)
    assert service is None or service in hosts.SERVICES
    hosts.is_loopback(text)
