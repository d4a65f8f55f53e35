"""The local endpoint as programs on the machine see it, on a real socket."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TOKEN = "/metadata/identity/oauth2/token?api-version=2020-06-01&resource=https://management.azure.com/"
INSTANCE = "/metadata/instance?api-version=2020-06-01"


@pytest.fixture
async def himds(bed):
    async with bed.running() as running:
        await bed.connect(running)
        yield running


def key_file(answer) -> Path:
    assert answer.status == 401
    scheme, _, path = answer.headers["www-authenticate"].partition("=")
    assert scheme == "Basic realm"
    return Path(path)


async def test_challenge_names_a_key_file_in_the_spelling_that_clients_look_for(himds, get):
    answer = await get(himds.server.port, TOKEN)
    path = key_file(answer)
    assert f"\r\nWww-Authenticate: Basic realm={himds.layout['tokens']}/" in answer.raw_head
    assert path.parent == himds.layout["tokens"]
    assert path.suffix == ".key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert 0 < path.stat().st_size <= 4096
    assert not path.read_text().endswith("\n")


async def test_token_is_given_for_the_content_of_the_key_file_once(himds, get):
    port = himds.server.port
    path = key_file(await get(port, TOKEN))
    secret = path.read_text()
    answer = await get(port, TOKEN, Authorization=f"Basic {secret}")
    assert answer.status == 200
    document = answer.document
    assert set(document) == {
        "access_token",
        "refresh_token",
        "expires_in",
        "expires_on",
        "not_before",
        "resource",
        "token_type",
    }
    assert document["resource"] == "https://management.azure.com/"
    assert document["token_type"] == "Bearer"
    assert int(document["expires_on"]) - int(document["not_before"]) == 86_700
    assert not path.exists()
    again = await get(port, TOKEN, Authorization=f"Basic {secret}")
    assert again.status == 401
    key_file(again)


async def test_any_outstanding_key_answers_any_challenge_and_the_scheme_may_be_lower_case(himds, get):
    port = himds.server.port
    first = key_file(await get(port, TOKEN))
    second = key_file(await get(port, TOKEN))
    answer = await get(port, TOKEN.replace("management", "vault"), Authorization=f"basic {first.read_text()}")
    assert answer.status == 200
    assert second.exists()


async def test_parallel_clients_each_get_their_token(himds, get):
    async def client() -> int:
        path = key_file(await get(himds.server.port, TOKEN))
        return (await get(himds.server.port, TOKEN, Authorization=f"Basic {path.read_text()}")).status

    assert await asyncio.gather(*(client() for _ in range(20))) == [200] * 20
    assert not list(himds.layout["tokens"].iterdir())


async def test_token_is_served_from_memory_unless_bypass_cache_is_asked_for(himds, bed, get):
    async def token(query: str = "") -> str:
        path = key_file(await get(himds.server.port, TOKEN))
        answer = await get(himds.server.port, TOKEN + query, Authorization=f"Basic {path.read_text()}")
        return answer.document["access_token"]

    first = await token()
    assert await token() == first
    assert await token("&bypass_cache=true") != first


async def test_cached_token_is_renewed_at_80_percent_of_its_life_on_the_beds_clock(himds, bed):
    resource = "https://vault.azure.net"
    first = await himds.tokens.get(resource)
    await bed.clock.advance(hours=18)
    assert await himds.tokens.get(resource) is first
    await bed.clock.advance(hours=2)
    assert await himds.tokens.get(resource) is not first


async def test_selectors_of_user_assigned_identities_are_ignored_and_not_echoed(himds, get):
    path = key_file(await get(himds.server.port, TOKEN))
    answer = await get(himds.server.port, f"{TOKEN}&client_id=abc", Authorization=f"Basic {path.read_text()}")
    assert answer.status == 200
    assert "client_id" not in answer.document


async def test_instance_metadata_is_that_of_now_not_of_the_last_heartbeat(himds, bed, get):
    bed.host.facts["osVersion"] = "6.8.0-45-generic"
    document = (await get(himds.server.port, INSTANCE)).document
    assert document["compute"]["version"] == "6.8.0-45-generic"


@pytest.mark.parametrize("spelling", ["true", "True", "TRUE"])
async def test_instance_metadata_has_the_published_shape(himds, get, spelling):
    answer = await get(himds.server.port, INSTANCE, Metadata=spelling)
    assert answer.status == 200
    assert answer.document["network"] == {}
    compute = answer.document["compute"]
    assert compute["azEnvironment"] == "AzurePublicCloud"
    assert compute["resourceId"].endswith("/machines/web-01")
    assert compute["sku"] == "Ubuntu 22.04.4 LTS"
    assert compute["version"] == "5.15.0-101-generic"
    assert compute["tags"] == "City:Oslo"
    assert compute["tagsList"] == [{"name": "City", "value": "Oslo"}]
    assert compute["vmScaleSetName"] == ""
    assert compute["publicKeys"] is None
    assert compute["plan"] == {"name": "", "product": "", "publisher": ""}
    flat = await get(himds.server.port, "/metadata/instance/compute?api-version=2019-11-01")
    assert flat.document == compute


async def test_endpoints_document_names_arm_and_the_data_plane(himds, get):
    answer = await get(himds.server.port, "/metadata/endpoints?api-version=2019-11-01")
    assert answer.document["resourceManager"] == "https://arm.test"
    assert answer.document["dataplaneEndpoints"]["arcHybridIdentityServiceEndpoint"] == "https://gbl.his.test"


async def test_whoever_asks_for_the_agents_status_does_not_hold_time(himds, get, bed, monkeypatch):
    """A container's health check comes in real time, in the middle of anything."""
    held, task = [], bed.clock.task
    monkeypatch.setattr(bed.clock, "task", lambda name: held.append(name) or task(name))
    assert (await get(himds.server.port, "/agentstatus")).status == 200
    assert held == []
    assert (await get(himds.server.port, INSTANCE)).status == 200
    assert len(held) == 1


async def test_agentstatus_needs_no_header(himds, get):
    answer = await get(himds.server.port, "/agentstatus", Metadata="")
    assert answer.status == 200
    assert answer.document["status"] == "Connected"
    assert answer.document["resourceName"] == "web-01"


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        (INSTANCE, {"Metadata": ""}, 400),
        (INSTANCE, {"Metadata": "yes"}, 400),
        (INSTANCE, {"Host": "evil.example"}, 400),
        (INSTANCE, {"Host": "localhost.evil.example:80"}, 400),
        (TOKEN, {"Host": "169.254.169.254"}, 400),
        (INSTANCE, {"X_Forwarded_For": "10.0.0.1"}, 400),
        (INSTANCE, {"Forwarded": "for=10.0.0.1"}, 400),
        (TOKEN, {"Via": "1.1 proxy"}, 400),
        ("/metadata/identity/oauth2/token?api-version=2020-06-01", {}, 400),
        (f"/metadata/identity/oauth2/token?api-version=2020-06-01&resource={'x' * 3000}", {}, 400),
        ("/metadata/nothing?api-version=2020-06-01", {}, 404),
        ("/", {}, 404),
        ("http://evil.example/metadata/instance", {}, 400),
    ],
)
async def test_bad_requests_are_refused_with_an_error_in_the_services_shape(
    himds, get, target, headers, status
):
    answer = await get(himds.server.port, target, **headers)
    assert answer.status == status
    assert set(answer.document) == {"error", "error_description"}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST:{port}"])
async def test_loopback_names_are_served(himds, get, host):
    assert (await get(himds.server.port, INSTANCE, Host=host.format(port=himds.server.port))).status == 200


@pytest.mark.parametrize("query", ["", "?api-version=2018-02-01"])
async def test_api_version_errors_end_with_the_list_that_collectors_parse(himds, get, query):
    answer = await get(himds.server.port, f"/metadata/instance{query}")
    assert answer.status == 400
    assert answer.document["error_description"].endswith("Supported are 2019-08-15 2019-11-01 2020-06-01")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_get_is_served(himds, speak, method):
    head = f"{method} {INSTANCE} HTTP/1.1\r\nHost: localhost\r\nMetadata: true\r\nContent-Length: 2\r\n\r\n"
    answer = await speak(himds.server.port, head + "{}")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET"


async def test_a_huge_head_and_a_huge_body_are_refused(himds, speak):
    request = f"GET {INSTANCE} HTTP/1.1\r\nHost: localhost\r\nMetadata: true\r\n"
    assert (await speak(himds.server.port, f"{request}X: {'y' * 40_000}\r\n\r\n")).status == 431
    body = f"{request}Content-Length: 200000\r\n\r\n{'x' * 200_000}"
    assert (await speak(himds.server.port, body)).status == 413


async def test_a_client_that_sends_nothing_is_dropped(himds, monkeypatch):
    monkeypatch.setattr("arcbed_agent.himds.server.PATIENCE", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", himds.server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: loc")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_two_requests_on_one_connection_are_both_answered(himds):
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{himds.server.port}", trust_env=False) as client:
        for _ in range(2):
            answer = await client.get(INSTANCE, headers={"Metadata": "true"})
            assert answer.status_code == 200


async def test_ipv6_loopback_answers_on_the_same_port(himds, speak):
    try:
        answer = await speak(
            himds.server.port, "GET /agentstatus HTTP/1.1\r\nHost: [::1]\r\n\r\n", socket.AF_INET6
        )
    except OSError:
        pytest.skip("no IPv6 loopback here")
    assert answer.status == 200


async def test_without_connection_metadata_and_tokens_are_refused_and_no_key_is_made(bed, get):
    async with bed.running() as himds:
        for target in (TOKEN, INSTANCE):
            answer = await get(himds.server.port, target)
            assert answer.status == 404
            assert answer.document["error"] == "not_connected"
        assert not list(himds.layout["tokens"].iterdir())
        assert (await get(himds.server.port, "/agentstatus")).document["status"] == "Disconnected"


@pytest.mark.parametrize(("failure", "status"), [("down", 503), ("refused", 400)])
async def test_entras_trouble_is_passed_on(himds, bed, get, oauth_refusal, failure, status):
    answers = {"down": httpx.ConnectError("down"), "refused": oauth_refusal(400, "invalid_scope", 70011)}
    bed.azure.script("POST", "/oauth2/v2.0/token", answers[failure])
    path = key_file(await get(himds.server.port, TOKEN))
    answer = await get(himds.server.port, TOKEN, Authorization=f"Basic {path.read_text()}")
    assert answer.status == status
    assert answer.document["error"] in {"temporarily_unavailable", "invalid_scope"}


async def test_a_key_that_nobody_used_is_removed_after_its_time(himds, get, monkeypatch):
    monkeypatch.setattr("arcbed_agent.himds.challenge.LIFE", 0.02)
    path = key_file(await get(himds.server.port, TOKEN))
    secret = path.read_text()
    while path.exists():
        await asyncio.wait({asyncio.ensure_future(asyncio.Event().wait())}, timeout=0.01)
    assert (await get(himds.server.port, TOKEN, Authorization=f"Basic {secret}")).status == 401


async def test_a_flood_of_challenges_pushes_out_the_oldest(himds, get, monkeypatch):
    monkeypatch.setattr("arcbed_agent.himds.challenge.OUTSTANDING", 3)
    paths = [key_file(await get(himds.server.port, TOKEN)) for _ in range(5)]
    assert [path.exists() for path in paths] == [False, False, True, True, True]


async def test_a_token_folder_swapped_for_a_link_is_not_written_to(himds, get, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    himds.layout["tokens"].rmdir()
    himds.layout["tokens"].symlink_to(elsewhere)
    answer = await get(himds.server.port, TOKEN)
    assert answer.status == 500
    assert not list(elsewhere.iterdir())


async def test_a_token_folder_that_others_can_write_is_not_written_to(himds, get):
    himds.layout["tokens"].chmod(0o777)
    assert (await get(himds.server.port, TOKEN)).status == 500


async def test_keys_of_an_earlier_himds_are_removed_at_start(bed, get):
    async with bed.running() as himds:
        await bed.connect(himds)
    stale = bed.layout["tokens"] / "stale.key"
    stale.write_text("old")
    async with bed.running() as himds:
        assert not stale.exists()
        path = key_file(await get(himds.server.port, TOKEN))
        assert path.exists()
    assert not path.exists()


async def test_key_files_go_to_group_himds_where_there_is_one(bed, get, monkeypatch):
    class Entry:
        gr_gid = os.getgid()

    asked = []
    monkeypatch.setattr("arcbed_agent.himds.challenge.grp.getgrnam", lambda name: asked.append(name) or Entry)
    async with bed.running() as himds:
        await bed.connect(himds)
        path = key_file(await get(himds.server.port, TOKEN))
        assert asked == ["himds"]
        assert path.stat().st_gid == os.getgid()


@given(raw=st.binary(max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_that_arrives_ends_the_server(raw):
    import logging

    from arcbed_agent.himds.server import LocalResponse, LocalServer

    async def handler(_request):
        return LocalResponse(200, {})

    async def scenario() -> None:
        server = LocalServer(handler, logging.getLogger("test.fuzz"))
        await server.start(0)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(raw)
            writer.write_eof()
            with_answer = await asyncio.wait_for(reader.read(), 5)
            assert with_answer == b"" or with_answer.startswith(b"HTTP/1.1 ")
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert b" 200 " in await asyncio.wait_for(reader.read(), 5)
            writer.close()
        finally:
            await server.stop()

    asyncio.run(scenario())
