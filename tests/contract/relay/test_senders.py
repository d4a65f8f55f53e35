"""HTTP senders of a hybrid connection: what reaches the listener, and what comes back."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

LARGE = os.urandom(200_000)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_request_reaches_the_listener_without_what_the_relay_was_told(machine, answer, pool):
    with machine.listen() as socket:
        sent = pool.submit(machine.send, "PUT", "/notes/1?a=b", content=b"hello", headers={"X-Mine": "yes"})
        request = json.loads(socket.recv(timeout=10))["request"]
        assert socket.recv(timeout=10) == b"hello"
        answer(socket, request, 207, b"fine", {"X-Theirs": "too"})
        got = sent.result()
    assert (request["method"], request["requestTarget"]) == ("PUT", f"/{machine.name}/notes/1?a=b")
    assert request["requestHeaders"]["x-mine"] == "yes"
    assert "servicebusauthorization" not in {name.lower() for name in request["requestHeaders"]}
    assert (got.status_code, got.content, got.headers["x-theirs"]) == (207, b"fine", "too")


def test_large_request_is_fetched_and_answered_at_its_own_address(machine, answer, pool):
    with machine.listen() as socket:
        sent = pool.submit(machine.send, content=LARGE)
        announced = json.loads(socket.recv(timeout=10))["request"]
        assert "method" not in announced
        with machine.listen("", announced["address"]) as rendezvous:
            request = json.loads(rendezvous.recv(timeout=10))["request"]
            assert rendezvous.recv(timeout=10) == LARGE
            answer(rendezvous, request, 200, LARGE)
            assert sent.result().content == LARGE


def test_large_answer_may_come_at_the_address_of_its_request(machine, answer, pool):
    with machine.listen() as socket:
        sent = pool.submit(machine.send, "GET")
        request = json.loads(socket.recv(timeout=10))["request"]
        with machine.listen("", request["address"]) as rendezvous:
            answer(rendezvous, request, 200, LARGE)
            assert sent.result().content == LARGE


def test_sender_without_a_listener_or_a_right_is_refused(machine):
    assert machine.send().status_code == 502
    assert machine.send(headers={"ServiceBusAuthorization": machine.sign()}).status_code == 403
    assert machine.send(headers={"ServiceBusAuthorization": ""}).status_code == 401


@pytest.mark.parametrize("status", [502, 504, 99, 700])
def test_listener_may_not_answer_with_the_codes_of_the_relay(machine, answer, pool, status):
    with machine.listen() as socket:
        sent = pool.submit(machine.send, "GET")
        answer(socket, json.loads(socket.recv(timeout=10))["request"], status)
        assert sent.result().status_code == 500


def test_address_of_a_request_that_is_over_is_refused(machine, answer, pool):
    with machine.listen() as socket:
        sent = pool.submit(machine.send, "GET")
        request = json.loads(socket.recv(timeout=10))["request"]
        answer(socket, request)
        assert isinstance(sent.result(), httpx.Response)
        with pytest.raises(Exception, match="404"):
            machine.listen("", request["address"])
