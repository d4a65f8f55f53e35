"""A bed with a thousand machines, some of them onboarded, for the benchmarks."""

from __future__ import annotations

import hashlib
import json
import random
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from arcbed_agent.himds.keys import MachineKey

VERSION = "2024-07-10"
BEATING = 64


class World:
    """Calls against one control plane as its owner, and as machines that share one key, which is allowed."""

    def __init__(self, cloud: Any) -> None:
        self.cloud = cloud
        self.client = httpx.Client(verify=cloud.tls, base_url=cloud.url, timeout=60)
        self.key = MachineKey.generate()
        self.chance = random.Random(7)
        self.tenant = cloud.env["tenantId"]
        self.form = urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": cloud.env["owner"]["clientId"],
                "client_secret": cloud.env["owner"]["clientSecret"],
                "scope": "https://management.azure.com/.default",
            }
        )
        self.client.headers["Authorization"] = f"Bearer {self._token(self.form)}"
        self.group = f"/subscriptions/{cloud.env['subscriptionId']}/resourceGroups/bench"

    def _token(self, form: str) -> str:
        answer = self.client.post(
            f"/{self.tenant}/oauth2/v2.0/token",
            content=form,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        )
        answer.raise_for_status()
        return answer.json()["access_token"]

    def guid(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def prepare(self) -> None:
        subscription = self.group.rsplit("/", 2)[0]
        url = f"{subscription}/providers/Microsoft.HybridCompute/register?api-version=2022-09-01"
        self.client.post(url).raise_for_status()
        self.client.put(
            f"{self.group}?api-version=2022-09-01", json={"location": "westeurope"}
        ).raise_for_status()

    def body(self) -> dict[str, Any]:
        return {
            "location": "westeurope",
            "tags": {"env": "bench"},
            "identity": {"type": "SystemAssigned"},
            "properties": {"vmId": self.guid(), "clientPublicKey": self.key.public_text, "osType": "linux"},
        }

    def machine(self, number: int) -> tuple[str, dict[str, Any]]:
        path = f"{self.group}/providers/Microsoft.HybridCompute/machines/m{number:04d}"
        body = self.body()
        self.client.put(f"{path}?api-version={VERSION}", json=body).raise_for_status()
        return path, body

    def beat(self, path: str, vm_id: str) -> dict[str, str]:
        """Certificate, token and first heartbeat of one machine."""
        his = f"{self.cloud.url}/his/machine/{vm_id}"
        content = b'{"reason":"initial","mode":"issue"}'
        proof = self.key.proof(
            vm_id=vm_id,
            resource_id=path,
            method="POST",
            url=f"{his}/identity",
            body=content,
            now=time.time(),  # noqa: TID251 - proofs carry real time
            jti=self.guid(),
        )
        answer = self.client.post(
            f"{his}/identity?api-version=sim-1",
            content=content,
            headers={"Authorization": f"PoP {proof}", "Content-Type": "application/json"},
        )
        answer.raise_for_status()
        credential = answer.json()
        endpoint = f"{self.cloud.env['authority']}/{self.tenant}/oauth2/v2.0/token"
        assertion = self.key.assertion(
            credential["certificate"],
            client_id=credential["client_id"],
            audience=endpoint,
            now=time.time(),  # noqa: TID251 - assertions carry real time
            jti=self.guid(),
        )
        token = self._token(
            urlencode(
                {
                    "grant_type": "client_credentials",
                    "client_id": credential["client_id"],
                    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    "client_assertion": assertion,
                    "scope": "https://management.core.windows.net//.default",
                }
            )
        )
        instance = self.guid()
        metadata = METADATA
        text = json.dumps(metadata, sort_keys=True, separators=(",", ":")).encode()
        first = self.client.post(
            f"{his}/heartbeat?api-version=sim-1",
            json={
                "instanceId": instance,
                "seq": 1,
                "status": "Connected",
                "agentVersion": "1.67.0.0",
                "metadataHash": hashlib.sha256(text).hexdigest(),
                "metadata": metadata,
            },
            headers={"Authorization": f"Bearer {token}", "x-arc-instance": instance},
        )
        first.raise_for_status()
        return {
            "path": f"/his/machine/{vm_id}/heartbeat?api-version=sim-1",
            "token": token,
            "instance": instance,
            "answer": first,
        }


METADATA: dict[str, Any] = {
    "osName": "linux",
    "osType": "linux",
    "osVersion": "6.8.0-87-generic",
    "osSku": "Ubuntu 24.04.3 LTS",
    "osProfile": {"computerName": "bench"},
    "machineFqdn": "bench.example.test",
    "dnsFqdn": "bench.example.test",
    "vmUuid": "9e4c9e5f-5b8a-4d1c-9c0e-3c1b7f3a9d10",
    "cloudMetadata": {"provider": "N/A"},
    "mssqlDiscovered": "false",
    "detectedProperties": {
        "manufacturer": "QEMU",
        "model": "Standard PC",
        "processorCount": "1",
        "coreCount": "4",
        "logicalCoreCount": "4",
        "totalPhysicalMemoryInBytes": "16384561152",
        "totalPhysicalMemoryInGigabytes": "15",
        "architecture": "amd64",
    },
}


def onboard(cloud: Any, machines: int) -> dict[str, Any]:
    """Fill a control plane and answer what the load needs."""
    world = World(cloud)
    world.prepare()
    made = [world.machine(number) for number in range(machines)]
    onboarded = [world.beat(path, body["properties"]["vmId"]) for path, body in made[:BEATING]]
    first, put_body = made[0]
    get = world.client.get
    listed = get(f"{world.group}/providers/Microsoft.HybridCompute/machines?api-version={VERSION}&$top=1000")
    item = get(f"{first}?api-version={VERSION}")
    token = world.client.post(
        f"/{world.tenant}/oauth2/v2.0/token",
        content=world.form,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    state = Path(cloud.state)
    return {
        "group": world.group,
        "tenant": world.tenant,
        "machines": [path for path, _ in made],
        "owner_token": world.client.headers["Authorization"].removeprefix("Bearer "),
        "onboarded": onboarded,
        "put_body": put_body,
        "token_form": world.form,
        "certificate": next(iter(sorted(state.glob("server*.pem"))), ""),
        "certificate_key": next(iter(sorted(state.glob("server*.key"))), ""),
        # Whole answers: their bodies and their heads.
        "samples": {
            "GET machine": item,
            "PUT machine": item,
            "list of 1,000": listed,
            "heartbeat": onboarded[0]["answer"],
            "token": token,
        },
    }
