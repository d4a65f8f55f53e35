"""The bed's resolver, asked by dnspython over real sockets, and by whoever sends it rubbish."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbed_cloud import hosts
from arcbed_cloud.services.dns import DnsServer, Resolver
from arcbed_cloud.services.dns.server import Upstream

CLOUD = "198.51.100.7"
NAMES = [pattern.replace("*", "deep.any") for pattern in hosts.patterns()]


@pytest.fixture
async def resolver():
    found = Resolver(
        (ip_address(CLOUD), ip_address("2001:db8::7")), records={"proxy.bed": (ip_address("198.51.100.8"),)}
    )
    server = DnsServer(found, "127.0.0.1", 0)
    await server.start()
    yield server
    await server.stop()


async def ask(server, name, kind="A", *, way=dns.asyncquery.udp):
    return await way(dns.message.make_query(name, kind), "127.0.0.1", port=server.port, timeout=5)


def addresses(answer) -> list[str]:
    return [str(record) for rows in answer.answer for record in rows]


@pytest.mark.parametrize("name", NAMES)
async def test_azures_name_leads_to_the_control_plane(resolver, name):
    assert addresses(await ask(resolver, name)) == [CLOUD]


async def test_name_in_another_spelling_is_found_and_echoed(resolver):
    answer = await ask(resolver, "MANAGEMENT.Azure.com.")
    assert addresses(answer) == [CLOUD]
    assert answer.question[0].name.to_text() == "MANAGEMENT.Azure.com."


async def test_address_of_the_other_family_is_answered_too(resolver):
    assert addresses(await ask(resolver, "management.azure.com", "AAAA")) == ["2001:db8::7"]


@pytest.mark.parametrize("kind", ["MX", "TXT", "HTTPS"])
async def test_other_record_of_a_known_name_is_empty_and_no_error(resolver, kind):
    answer = await ask(resolver, "management.azure.com", kind)
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])


async def test_further_name_has_its_own_address(resolver):
    assert addresses(await ask(resolver, "proxy.bed")) == ["198.51.100.8"]


@pytest.mark.parametrize("name", ["example.com", "azure.com", "his.arc.azure.com.evil.example"])
async def test_other_name_does_not_exist(resolver, name):
    assert (await ask(resolver, name)).rcode() == dns.rcode.NXDOMAIN


async def test_tcp_answers_as_udp_does(resolver):
    assert addresses(await ask(resolver, "gbl.his.arc.azure.com", way=dns.asyncquery.tcp)) == [CLOUD]


async def test_other_name_is_forwarded_when_told_to(resolver):
    front = DnsServer(
        Resolver((ip_address("203.0.113.1"),), forward=Upstream("127.0.0.1", resolver.port)), "127.0.0.1", 0
    )
    await front.start()
    try:
        assert addresses(await ask(front, "proxy.bed")) == ["198.51.100.8"]
        assert addresses(await ask(front, "management.azure.com")) == ["203.0.113.1"]
    finally:
        await front.stop()


async def test_forwarding_to_nobody_is_a_server_failure():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    found = Resolver((ip_address(CLOUD),), forward=Upstream("127.0.0.1", port))
    query = dns.message.make_query("example.com", "A")
    assert dns.message.from_wire(await found.answer(query.to_wire())).rcode() == dns.rcode.SERVFAIL


@given(st.binary(max_size=600))
async def test_rubbish_is_answered_with_an_error_or_not_at_all(data):
    answer = await Resolver((ip_address(CLOUD),)).answer(data)
    if answer is not None:
        assert answer[:2] == data[:2]
        assert answer[2] & 0x80


async def test_answer_sent_as_a_query_is_not_answered():
    """Two resolvers that answer each other's answers would never stop."""
    query = dns.message.make_query("management.azure.com", "A")
    query.flags |= dns.flags.QR
    assert await Resolver((ip_address(CLOUD),)).answer(query.to_wire()) is None
