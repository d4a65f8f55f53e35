"""Listeners of a hybrid connection, over TLS: who may, what ends them, and what they are asked."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import InvalidStatus

ASSIGNMENT = {
    "location": "westeurope",
    "properties": {"guestConfiguration": {"name": "Probe", "version": "1.0.0"}},
}


def refused(machine, **how) -> int:
    with pytest.raises(InvalidStatus) as refusal:
        machine.listen(**how)
    return refusal.value.response.status_code


def test_channel_that_the_machine_is_given_can_be_listened_on(machine):
    found = machine.channel()
    assert found.status_code == 200
    relay = found.json()["relay"]
    assert relay["hybridConnectionName"] == machine.name
    url = f"wss://{relay['namespaceNameSuffix']}/$hc/{relay['hybridConnectionName']}?sb-hc-action=listen"
    with machine.listen(relay["accessKey"], url):
        pass


def test_channel_under_azures_name_is_in_a_namespace_of_the_region(machine):
    relay = machine.channel(host="guestnotificationservice.azure.com").json()["relay"]
    assert relay["namespaceName"].startswith("azgn-westeurope-public-")
    assert relay["namespaceNameSuffix"] == "servicebus.windows.net"
    host = f"{relay['namespaceName']}.{relay['namespaceNameSuffix']}"
    with machine.listen(relay["accessKey"], host=host):
        pass


def test_channel_is_given_to_the_machine_itself_only(machine, world):
    owner = world.client.headers["Authorization"].removeprefix("Bearer ")
    assert machine.channel(token=owner).status_code == 403
    assert machine.channel(token="nonsense").status_code == 401
    assert machine.channel(json={"features": []}).status_code == 400


def test_listener_with_a_wrong_token_is_refused_as_documented(machine):
    assert refused(machine, token="") == 401
    assert refused(machine, token=machine.sign(seconds=-1)) == 401
    assert refused(machine, token=machine.sign()[:-40] + "x") in {401, 404}
    assert refused(machine, token=machine.sign("sender")) == 403
    assert refused(machine, token=machine.sign(path="m-another")) == 403


def test_listener_on_a_path_that_does_not_exist_is_refused_with_404(machine):
    url = machine.base.replace(machine.vm_id, "00000000-0000-4000-8000-000000000000")
    assert refused(machine, url=f"{url}?sb-hc-action=listen") == 404
    assert refused(machine, url=f"{machine.base}?sb-hc-action=dance") == 404


def test_second_listener_ends_the_first_with_1001(machine, closing):
    with machine.listen() as first, machine.listen() as second:
        assert closing(first)[0] == 1001
        second.ping().wait(10)


def test_token_that_runs_out_ends_the_listener_with_1008(machine, closing):
    with machine.listen(machine.sign(seconds=2)) as socket:
        assert closing(socket)[0] == 1008


def test_renewed_token_keeps_the_listener(machine, closing):
    with machine.listen(machine.sign(seconds=2)) as socket:
        socket.send(json.dumps({"renewToken": {"token": machine.sign(seconds=600)}}))
        with pytest.raises(TimeoutError):
            socket.recv(timeout=3)
        socket.send(json.dumps({"renewToken": {"token": machine.sign("sender")}}))
        assert closing(socket)[0] == 1008


def test_machine_that_is_deleted_ends_its_listener_with_1001(machine, world, closing):
    with machine.listen() as socket:
        world.client.delete(f"{machine.path}?api-version=2024-07-10").raise_for_status()
        assert closing(socket)[0] == 1001


def test_assignment_that_is_put_is_told_to_the_listener(machine, world, answer):
    provider = "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments"
    url = f"{machine.path}/{provider}/Probe?api-version=2022-01-25"
    with machine.listen() as socket, ThreadPoolExecutor(1) as pool:
        put = pool.submit(world.client.put, url, json=ASSIGNMENT)
        request = json.loads(socket.recv(timeout=10))["request"]
        news = json.loads(socket.recv(timeout=10))
        answer(socket, request, 202, b"{}")
        assert put.result().status_code in {200, 201}
    assert (request["method"], request["requestTarget"]) == ("POST", f"/{machine.name}/notify")
    assert (news["kind"], news["spreadSeconds"]) == ("assignments", 0)
    assert news["generation"] >= 1


def test_nonsense_of_a_listener_is_ignored(machine):
    with machine.listen() as socket:
        for text in (
            "",
            "[]",
            "{",
            '{"response": {"requestId": "nobody", "statusCode": "x"}}',
            '{"accept": 1}',
        ):
            socket.send(text)
        socket.send(b"\x00")
        assert socket.ping().wait(10)
