"""A machine of a few lines that does what its goal state says: for tests of those who write to ARM."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import httpx
from tests.support.running import RunningCloud

from arcbed_agent.himds.keys import MachineKey

Item = dict[str, Any]
Answer = Callable[[Item], dict[str, Any]]


def well_done(item: Item) -> dict[str, Any]:
    """The report of a handler that did everything."""
    status = "NotInstalled" if item["desiredState"] == "uninstalled" else "Ready"
    view = {"code": "0", "level": "Information", "message": "Extension Message: done"}
    return {"state": "Succeeded", "phase": "Done", "handler": {"status": status}, "instanceView": view}


class ObedientMachine:
    """A machine of `cloud`: create it in ARM with `body`, then `connect`."""

    def __init__(self, cloud: RunningCloud) -> None:
        self._cloud = cloud
        self._http = httpx.Client(verify=cloud.tls, timeout=30)
        self._key = MachineKey.generate()
        self._token = ""
        self._seq = 0
        self.vm_id = str(uuid.uuid4())  # noqa: TID251 - the machine's own choice
        self.key_text = self._key.public_text
        self.pulls: list[list[Item]] = []

    def body(self) -> dict[str, Any]:
        """What ARM is told of the machine."""
        return {
            "location": "westeurope",
            "identity": {"type": "SystemAssigned"},
            "properties": {"vmId": self.vm_id, "clientPublicKey": self.key_text},
        }

    def connect(self, resource_id: str) -> None:
        """Get certificate and token."""
        url = f"{self._cloud.url}/his/machine/{self.vm_id}/identity"
        content = json.dumps({"reason": "initial"}).encode()
        proof = self._key.proof(
            vm_id=self.vm_id,
            resource_id=resource_id,
            method="POST",
            url=url,
            body=content,
            now=time.time(),  # noqa: TID251 - proofs carry real time
            jti=str(uuid.uuid4()),  # noqa: TID251 - the machine's own choice
        )
        answer = self._http.post(
            url,
            params={"api-version": "sim-1"},
            content=content,
            headers={"Authorization": f"PoP {proof}", "Content-Type": "application/json"},
        )
        answer.raise_for_status()
        credential = answer.json()
        endpoint = f"{self._cloud.env['authority']}/{self._cloud.env['tenantId']}/oauth2/v2.0/token"
        assertion = self._key.assertion(
            credential["certificate"],
            client_id=credential["client_id"],
            audience=endpoint,
            now=time.time(),  # noqa: TID251 - assertions carry real time
            jti=str(uuid.uuid4()),  # noqa: TID251 - the machine's own choice
        )
        form = {
            "grant_type": "client_credentials",
            "client_id": credential["client_id"],
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
            "scope": "https://management.core.windows.net//.default",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self._http.post(endpoint, content=urlencode(form), headers=headers)
        answer.raise_for_status()
        self._token = answer.json()["access_token"]

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def pull(self) -> list[Item]:
        """The goal state."""
        answer = self._call("GET", "extensions")
        answer.raise_for_status()
        items: list[Item] = answer.json()["value"]
        self.pulls.append(items)
        return items

    def obey(self, answer: Answer = well_done) -> int:
        """Do everything that is open, once; answers how much that was."""
        waiting = [item for item in self.pull() if item["operation"] is not None]
        for item in waiting:
            self._report(item, {"state": "InProgress", "phase": "Downloading"})
            self._report(item, answer(item))
        return len(waiting)

    @contextmanager
    def obeying(self, answer: Answer = well_done) -> Iterator[None]:
        """Do everything that comes, until the block ends."""
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(0.05):
                self.obey(answer)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)

    def _report(self, item: Item, more: dict[str, Any]) -> None:
        self._seq += 1
        body = {
            "reportSeq": self._seq,
            "sequenceNumber": item["sequenceNumber"],
            "typeHandlerVersion": item["typeHandlerVersion"],
            **more,
        }
        path = f"extensions/{item['name']}/operations/{item['operation']['operationId']}"
        self._call("PUT", path, body).raise_for_status()

    def _call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self._http.request(
            method,
            f"{self._cloud.url}/gas/virtualMachines/{self.vm_id}/{path}",
            params={"api-version": "sim-1"},
            headers={"Authorization": f"Bearer {self._token}"},
            json=body,
        )
