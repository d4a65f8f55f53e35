"""A control plane as a process, machines that are onboarded, and plain WebSockets as listeners."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest
from onboarded import World
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from arcbed_cloud.services.relay import sas


@dataclass
class Machine:
    """One machine's end of its hybrid connection."""

    world: World
    path: str
    vm_id: str
    token: str

    def channel(self, **more):
        host = more.pop("host", "")
        prefix = "" if host else "/gns"
        url = f"{self.world.cloud.url}{prefix}/machine/{self.vm_id}/channel?api-version=sim-1"
        body = {"instanceId": self.vm_id, "features": ["notify"]}
        headers = {"Authorization": f"Bearer {more.pop('token', self.token)}"} | (
            {"Host": host} if host else {}
        )
        return httpx.post(
            url, json=more.pop("json", body), headers=headers, verify=self.world.cloud.tls, timeout=20
        )

    @property
    def name(self) -> str:
        return f"m-{self.vm_id}"

    @property
    def base(self) -> str:
        return f"{self.world.cloud.url.replace('https', 'wss')}/relay/$hc/{self.name}"

    def sign(self, rule: str = "listener", seconds: int = 600, path: str = "") -> str:
        master = (self.world.cloud.state / "relay.key").read_text().strip()
        key = sas.key_of(master, self.name, rule)
        expires = int(time.time()) + seconds  # noqa: TID251 - tokens carry real time
        return sas.sign(key, f"http://localhost/{path or self.name}", rule, expires)

    def listen(self, token: str | None = None, url: str = "", host: str = ""):
        headers = {"ServiceBusAuthorization": self.sign() if token is None else token}
        if host:  # the name is Azure's, the address the bed's
            at = urlsplit(self.world.cloud.url)
            return connect(
                f"wss://{host}/$hc/{self.name}?sb-hc-action=listen",
                additional_headers=headers,
                ssl=self.world.cloud.tls,
                proxy=None,
                sock=socket.create_connection((at.hostname, at.port)),
            )
        return connect(
            url or f"{self.base}?sb-hc-action=listen",
            additional_headers=headers,
            ssl=self.world.cloud.tls,
            proxy=None,
        )

    def send(self, method: str = "POST", target: str = "", **more) -> httpx.Response:
        headers = {"ServiceBusAuthorization": self.sign("sender"), **more.pop("headers", {})}
        url = f"{self.world.cloud.url}/relay/{self.name}{target}"
        return httpx.request(method, url, headers=headers, verify=self.world.cloud.tls, timeout=20, **more)


def closing(socket) -> tuple[int, str]:
    """Wait for the end of a socket: code and reason."""
    with suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=15)
    return socket.close_code, socket.close_reason


def answer(socket, request, status=200, body=b"", headers=None):
    """Answer `request` on `socket`."""
    response = {
        "requestId": request["id"],
        "statusCode": status,
        "responseHeaders": headers or {},
        "body": bool(body),
    }
    socket.send(json.dumps({"response": response}))
    if body:
        socket.send(body)


@pytest.fixture(scope="module")
def world(start_cloud, tmp_path_factory):
    cloud = start_cloud(tmp_path_factory.mktemp("relay") / "state")
    world = World(cloud)
    world.prepare()
    subscription = world.group.rsplit("/", 2)[0]
    register = f"{subscription}/providers/Microsoft.GuestConfiguration/register?api-version=2022-09-01"
    world.client.post(register).raise_for_status()
    yield world
    world.client.close()
    cloud.stop()


@pytest.fixture
def machine(world):
    number = world.chance.randrange(1_000, 9_999)
    path, body = world.machine(number)
    vm_id = body["properties"]["vmId"]
    return Machine(world, path, vm_id, world.beat(path, vm_id)["token"])


@pytest.fixture(name="closing")
def closing_fixture():
    return closing


@pytest.fixture(name="answer")
def answer_fixture():
    return answer
