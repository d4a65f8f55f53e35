"""Trust, proxies, common headers, errors as data, and where the cloud is."""

from __future__ import annotations

import asyncio
import ssl
from datetime import timedelta

import httpcore
import httpx
import pytest

from arcbed_agent.cloud.endpoints import CLOUDS, Directory, resolve
from arcbed_agent.cloud.proxies import proxy_in_effect
from arcbed_agent.cloud.routes import Routes, trust
from arcbed_agent.cloud.streams import Connections
from arcbed_agent.cloud.transport import CloudError, Transport, UnreachableError, retry_after
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError


def local(**values) -> LocalConfig:
    config = LocalConfig()
    for name, value in values.items():
        config = config.with_value(name.replace("_", "."), value)
    return config


async def answered(answer) -> tuple[list[httpx.Request], Transport]:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return seen, Transport(
        LocalConfig(), component="himds", instance="i-1", inner=httpx.MockTransport(handle)
    )


async def test_each_attempt_has_an_id_and_the_correlation_id_stays():
    seen, transport = await answered(httpx.Response(200, json={}))
    for _ in range(2):
        await transport.send("GET", "https://a.test/x", correlation_id="c-1")
    first, second = (request.headers for request in seen)
    assert first["x-ms-client-request-id"] != second["x-ms-client-request-id"]
    assert first["x-ms-correlation-request-id"] == second["x-ms-correlation-request-id"] == "c-1"
    assert first["x-arc-instance"] == "i-1"
    assert first["x-arc-agent"].startswith("himds/1.")


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        ((403, {"error": {"code": "AuthorizationFailed", "message": "no"}}), "AuthorizationFailed", "no"),
        ((400, {"code": "HCRP400", "message": "bare"}), "HCRP400", "bare"),
        ((401, {"error": "invalid_client", "error_description": "AADSTS1"}), "invalid_client", "AADSTS1"),
        ((502, "<html>"), "", "Bad Gateway"),
        ((500, ["odd"]), "", "Internal Server Error"),
    ],
)
async def test_every_shape_of_refusal_is_read(answer, code, message):
    status, body = answer
    _, transport = await answered(
        httpx.Response(status, text=body) if isinstance(body, str) else httpx.Response(status, json=body)
    )
    with pytest.raises(CloudError) as caught:
        await transport.send("GET", "https://a.test/x?secret=1")
    assert (caught.value.status, caught.value.code, caught.value.message) == (status, code, message)
    assert "secret" not in str(caught.value)
    assert caught.value.host == "a.test"


async def test_no_answer_names_the_host_and_the_reason():
    _, transport = await answered(httpx.ConnectError("no such host"))
    with pytest.raises(UnreachableError, match="no such host") as caught:
        await transport.send("GET", "https://a.test/x")
    assert caught.value.host == "a.test"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers, seconds):
    assert retry_after(httpx.Response(429, headers=headers)) == seconds


def test_verification_is_never_off_and_tls_is_1_2_at_least():
    context = trust(LocalConfig())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_bundle_that_is_not_there_is_23(tmp_path):
    with pytest.raises(AgentError, match="caBundle") as caught:
        trust(LocalConfig().with_value("tls.caBundle", str(tmp_path / "none.pem")))
    assert caught.value.number == 23


@pytest.mark.parametrize(
    ("configured", "environment", "effective"),
    [
        ("http://a:1", {"HTTPS_PROXY": "http://b:2"}, "http://a:1"),
        ("a:1", {}, "http://a:1"),
        ("", {"HTTPS_PROXY": "http://b:2"}, "http://b:2"),
        ("", {}, ""),
    ],
)
def test_the_configured_proxy_goes_before_the_environments(configured, environment, effective):
    assert proxy_in_effect(local(proxy_url=configured), environment) == effective


async def proxied(config: LocalConfig, url: str) -> str:
    """The first line that reaches the proxy on the way to `url`, or empty."""
    lines: list[str] = []

    async def accept(reader, writer):
        lines.append((await reader.readline()).decode())
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = Transport(config.with_value("proxy.url", f"http://127.0.0.1:{port}"))
    try:
        with pytest.raises(UnreachableError):
            await transport.send("GET", url)
    finally:
        await transport.close()
        server.close()
    return lines[0] if lines else ""


async def test_https_goes_through_the_configured_proxy():
    line = await proxied(LocalConfig(), "https://weu.his.arc.invalid/x")
    assert line.startswith("CONNECT weu.his.arc.invalid:443")


@pytest.mark.parametrize(
    ("keyword", "host", "direct"),
    [
        ("Arc", "weu.his.arc.azure.com", True),
        ("arc", "westeurope-gas.guestconfiguration.azure.com", True),
        ("Arc", "management.azure.com", False),
        ("ARM", "management.azure.com", True),
        ("AAD", "login.microsoftonline.com", True),
        ("AMA", "login.microsoftonline.com", False),
    ],
)
async def test_bypass_keywords_stand_for_their_hosts(keyword, host, direct, monkeypatch):
    async def nowhere(*_args, **_named):
        raise httpcore.ConnectError("no network in tests")

    if direct:
        monkeypatch.setattr(Connections, "connect_tcp", nowhere)
    line = await proxied(LocalConfig().with_value("proxy.bypass", [keyword]), f"https://{host}/x")
    assert (line == "") is direct


@pytest.mark.parametrize(
    ("url", "proxied"),
    [
        ("https://his.arc.azure.com/x", False),
        ("https://weu.his.arc.azure.com", False),
        ("https://evilhis.arc.azure.com", True),
        ("https://build.internal.test", False),
        ("https://internal.test", True),
        ("https://here.test:8443/x", False),
        ("https://here.test/x", True),
        ("https://other.test", True),
        ("http://other.test", False),
    ],
)
async def test_no_proxy_of_the_environment_is_honoured(url, proxied, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:1")
    monkeypatch.setenv("NO_PROXY", "his.arc.azure.com,.internal.test, here.test:8443")
    routes = Routes(LocalConfig(), trust(LocalConfig()))
    assert routes.proxied(httpx.URL(url)) is proxied


METADATA = {
    "authentication": {"loginEndpoint": "https://login.bed/"},
    "suffixes": {"relayEndpointSuffix": "relay.bed"},
    "dataplaneEndpoints": {"arcHybridIdentityServiceEndpoint": "https://his.bed/"},
}


async def test_the_public_cloud_is_known_without_asking():
    seen, transport = await answered(httpx.Response(500))
    assert await resolve(transport, LocalConfig(), "AzureCloud") == CLOUDS["AzureCloud"]
    assert not seen


@pytest.mark.parametrize("body", [METADATA, [{"name": "Other"}, {"name": "AzureCloud", **METADATA}]])
async def test_another_arm_is_asked_for_the_rest_and_explicit_settings_win(body):
    _, transport = await answered(httpx.Response(200, json=body))
    config = (
        LocalConfig()
        .with_value("endpoints.arm", "https://arm.bed/")
        .with_value("endpoints.his", "https://mine")
    )
    found = await resolve(transport, config, "AzureCloud")
    assert (found.arm, found.login, found.his) == ("https://arm.bed", "https://login.bed", "https://mine")
    assert (found.relay_suffix, found.gns) == ("relay.bed", "")


@pytest.mark.parametrize(
    "answer", [httpx.Response(404), httpx.Response(200, json={}), httpx.ConnectError("down")]
)
async def test_another_arm_that_names_no_identity_service_never_falls_back_to_azure(answer):
    _, transport = await answered(answer)
    with pytest.raises(AgentError) as caught:
        await resolve(transport, LocalConfig().with_value("endpoints.arm", "https://arm.bed"), "AzureCloud")
    assert caught.value.number == 26


async def test_an_unknown_cloud_is_23():
    _, transport = await answered(httpx.Response(404))
    with pytest.raises(AgentError) as caught:
        await resolve(transport, LocalConfig(), "AzureMoonCloud")
    assert caught.value.number == 23


async def test_discovery_is_kept_for_its_time_and_dropped_after_three_failed_connections(bed):
    transport = Transport(LocalConfig.load(bed.layout), inner=httpx.MockTransport(bed.azure))
    directory = Directory(transport, LocalConfig.load(bed.layout), bed.clock)

    async def asked() -> int:
        await directory.region("AzureCloud", "westeurope")
        return len(bed.azure.asked("GET", "/discovery"))

    assert await asked() == await asked() == 1
    await bed.clock.advance(timedelta(seconds=86_400))
    assert await asked() == 2
    directory.failed()
    directory.failed()
    assert await asked() == 2
    directory.failed()
    assert await asked() == 3
    directory.drop()
    assert await asked() == 4
