"""The network check, against real TLS servers."""

from __future__ import annotations

import asyncio
import email.utils
import ipaddress
import ssl
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from arcbed_agent.cli.network import table, unavailable, unexpected_private_link
from arcbed_agent.clock import SystemClock
from arcbed_agent.cloud.connectivity import Probe, Prober, Target, clock_skew, targets
from arcbed_agent.cloud.endpoints import CLOUDS, Region
from arcbed_agent.config import LocalConfig


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate for localhost that vouches for itself, as a PEM file with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.fromtimestamp(time.mktime((2020, 1, 1, 0, 0, 0, 0, 0, 0)), UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=36_500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("trust") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path


@asynccontextmanager
async def endpoint(authority, *, status="404 Not Found", date=None, newest=None):
    """An HTTPS server with one answer; gives its URL and the request lines that it saw."""
    seen: list[str] = []

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head.split(b"\r\n")[0].decode())
        dated = f"Date: {date}\r\n" if date else ""
        writer.write(f"HTTP/1.1 {status}\r\n{dated}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority)
    if newest:
        context.maximum_version = newest
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}", seen


def prober(authority, **values):
    config = LocalConfig({"tls.caBundle": str(authority), **values})
    return Prober(config, SystemClock())


async def probe_one(prober, url, **target):
    [found] = await prober.probe([Target(url, **target)])
    return found


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "500 Oops", "301 Moved"])
async def test_any_http_status_counts_as_reachable(authority, status):
    async with endpoint(authority, status=status) as (url, seen):
        found = await probe_one(prober(authority), url, path="/connectivitytest")
    assert found.reachable
    assert found.tls == "TLS 1.3"
    assert seen == ["GET /connectivitytest HTTP/1.1"]
    assert found.document() == {
        "reachable": True,
        "private": False,
        "tls": "TLS 1.3",
        "proxyStatus": "not set",
        "required": True,
    }


async def test_the_negotiated_tls_version_is_told(authority):
    async with endpoint(authority, newest=ssl.TLSVersion.TLSv1_2) as (url, _):
        assert (await probe_one(prober(authority), url)).tls == "TLS 1.2"


async def test_a_server_that_nobody_vouches_for_is_not_reachable(authority, tmp_path):
    async with endpoint(authority) as (url, seen):
        [found] = await Prober(LocalConfig(), SystemClock()).probe([Target(url)])
    assert not found.reachable
    assert "certificate not trusted" in found.error
    assert seen == []


async def test_a_port_where_nobody_listens_is_not_reachable(authority):
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    found = await probe_one(prober(authority), f"https://127.0.0.1:{port}")
    assert not found.reachable
    assert found.error


async def test_a_server_without_tls_is_not_reachable(authority):
    async def slam(_reader, writer):
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(slam, "127.0.0.1", 0) as server:
        found = await probe_one(prober(authority), f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert not found.reachable


async def test_a_name_that_does_not_exist_says_so(authority):
    found = await probe_one(prober(authority), "https://no-such-host.invalid")
    assert found.error == "no IP addresses found"


async def test_a_proxy_gets_the_name_and_resolves_it(authority):
    connects = []

    async def tunnel(reader, writer):
        connects.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as server:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        found = await probe_one(prober(authority, **{"proxy.url": proxy}), "https://no-such-host.invalid")
    assert connects == ["CONNECT no-such-host.invalid:443 HTTP/1.1"]
    assert not found.reachable
    assert "Forbidden" in found.error
    assert found.document()["proxyStatus"] == "set"


async def test_a_bypassed_service_does_not_use_the_proxy(authority):
    config = {"proxy.url": "http://127.0.0.1:9", "proxy.bypass": ("AAD",)}
    found = await probe_one(prober(authority, **config), "https://login.microsoftonline.com")
    assert not found.proxy


async def test_private_addresses_and_privatelink_names_are_told(authority):
    async def resolve(host, _port):
        return {"private.example": (["10.0.0.4"], "x.privatelink.his.arc.azure.com")}.get(
            host, (["127.0.0.1"], host)
        )

    checker = Prober(LocalConfig({"tls.caBundle": str(authority)}), SystemClock(), resolve)
    private, loopback = await checker.probe(
        [Target("https://private.example"), Target("https://127.0.0.1:9")]
    )
    assert private.private
    assert not loopback.private
    assert unexpected_private_link([private]).number == 26
    assert unexpected_private_link([loopback]) is None


@pytest.mark.parametrize(("off", "told"), [(0, False), (100, False), (-130, True), (3600, True)])
async def test_a_clock_more_than_two_minutes_off_is_told(authority, off, told):
    date = email.utils.format_datetime(SystemClock().now() - timedelta(seconds=off), usegmt=True)
    async with endpoint(authority, date=date) as (url, _):
        found = await probe_one(prober(authority), url)
    assert found.reachable
    skew = clock_skew([found])
    assert (skew is not None) is told
    if skew is not None:
        assert abs(skew - off) < 5


def test_unavailable_names_every_required_endpoint_in_the_products_words():
    probes = [
        Probe(Target("https://a"), reachable=False, error="EOF"),
        Probe(Target("https://b"), reachable=True),
        Probe(Target("https://c", required=False), reachable=False, error="EOF"),
        Probe(Target("https://d"), reachable=False, error="no IP addresses found"),
    ]
    error = unavailable(probes)
    assert error is not None
    assert error.number == 26
    assert error.message == (
        "required endpoints unavailable: https://a (error: EOF), https://d (error: no IP addresses found)"
    )
    assert "https://c" in table(probes)


REGION = Region(
    location="westeurope",
    his="https://weu.his.arc.azure.com",
    gas="https://westeurope-gas.guestconfiguration.azure.com",
    gns="https://guestnotificationservice.azure.com",
    relay_suffix="servicebus.windows.net",
    login="https://login.microsoftonline.com",
)


def test_azures_endpoints_are_the_documented_ones():
    assert {target.url for target in targets("AzureCloud", CLOUDS["AzureCloud"], REGION)} == {
        "https://gbl.his.arc.azure.com",
        "https://weu.his.arc.azure.com",
        "https://agentserviceapi.guestconfiguration.azure.com",
        "https://westeurope-gas.guestconfiguration.azure.com",
        "https://management.azure.com",
        "https://login.microsoftonline.com",
        "https://pas.windows.net",
    }


def test_a_cloud_with_an_entra_of_its_own_is_never_asked_at_azures():
    from dataclasses import replace

    local = "https://localhost:1"
    endpoints = replace(
        CLOUDS["AzureCloud"], arm=local, login=local, his=f"{local}/his", gas=f"{local}/gas", gns=""
    )
    found = targets("AzureCloud", endpoints, None, include_all=True)
    assert [target.url for target in found] == [f"{local}/his", f"{local}/gas", local]
