"""A control plane in process with a clock that stands still, two machines, and calls as owner or machine."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.in_process import BASE, CloudBed, plant
from tests.support.packages import package

from arcbed_cloud.settings import Settings

VERSION = "2024-07-10"
VM_IDS = {
    name: f"9a0d1c9e-2f10-4d53-9d5e-{number:012d}" for number, name in enumerate(("web-01", "web-02"), 1)
}
PROBE = {"publisher": "Contoso.Tools", "type": "Probe"}


@dataclass
class Bed(CloudBed):
    folder: Path = Path()
    report_seq: int = 0

    def extension(self, name: str = "probe", machine: str = "web-01") -> str:
        return f"{self.machine(machine)}/extensions/{name}"

    def publish(self, version: str = "1.0.0", name: str = "Contoso.Tools.Probe", **more: Any):
        handler = {key: more.pop(key) for key in ("supportsMultipleExtensions",) if key in more}
        source = package(self.folder, name, version, **handler)
        return self.cloud.extensions.gallery.publish(source, now=self.clock.wall(), **more)

    # -- ARM -----------------------------------------------------------------------------------------------

    async def arm(
        self, method: str, path: str, body: Any = None, *, version: str = VERSION
    ) -> httpx.Response:
        token = self.token(self.cloud.estate.owner.objectId)
        url = path if path.startswith("https:") else f"{BASE}{path}"
        return await self.http.request(
            method,
            url,
            params=None if "api-version=" in url else {"api-version": version},
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        )

    async def put(self, name: str = "probe", machine: str = "web-01", /, **properties: Any) -> httpx.Response:
        tags = properties.pop("tags", None)
        body = {"location": "westeurope", "properties": {**PROBE, **properties}}
        return await self.arm("PUT", self.extension(name, machine), body | ({"tags": tags} if tags else {}))

    async def shown(self, name: str = "probe", machine: str = "web-01") -> dict[str, Any]:
        answer = await self.arm("GET", self.extension(name, machine))
        assert answer.status_code == 200, answer.text
        return answer.json()["properties"]

    async def operation(self, accepted: httpx.Response) -> dict[str, Any]:
        """The status of the operation that an answer started."""
        assert accepted.status_code in {200, 201, 202}, accepted.text
        answer = await self.arm("GET", accepted.headers["azure-asyncoperation"])
        assert answer.status_code == 200, answer.text
        return answer.json()

    # -- the agent -----------------------------------------------------------------------------------------

    async def gas(
        self, method: str, path: str, *, machine: str = "web-01", who: str | None = None, **more: Any
    ) -> httpx.Response:
        """Call the agent service about a machine, as that machine or as `who`."""
        row = self.cloud.machines.get(self.machine(who or machine).lower())
        token = self.token(row.document["identity"]["principalId"], "https://management.core.windows.net/")
        headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
        url = path if path.startswith("https:") else f"{BASE}/gas/virtualMachines/{VM_IDS[machine]}{path}"
        return await self.http.request(
            method,
            url,
            params=None if "api-version=" in url else {"api-version": "sim-1"},
            headers=headers,
            **more,
        )

    async def pull(self, machine: str = "web-01") -> list[dict[str, Any]]:
        answer = await self.gas("GET", "/extensions", machine=machine)
        assert answer.status_code == 200, answer.text
        return answer.json()["value"]

    async def item(self, name: str = "probe", machine: str = "web-01") -> dict[str, Any]:
        """What the machine is told of one of its extensions."""
        return next(entry for entry in await self.pull(machine) if entry["name"] == name)

    async def report(
        self, item: dict[str, Any], state: str | None = None, machine: str = "web-01", **more: Any
    ) -> httpx.Response:
        """G5 about the item's operation, or G6 without a state."""
        self.report_seq += 1
        body = {
            "reportSeq": self.report_seq,
            "sequenceNumber": item["sequenceNumber"],
            "typeHandlerVersion": item["typeHandlerVersion"],
            **more,
        }
        path = f"/extensions/{item['name']}/status"
        if state is not None:
            body["state"] = state
            path = f"/extensions/{item['name']}/operations/{item['operation']['operationId']}"
        return await self.gas("PUT", path, machine=machine, json=body)

    async def obey(self, state: str = "Succeeded", *names: str, machine: str = "web-01", **more: Any) -> None:
        """Do everything that is open on a machine."""
        for item in await self.pull(machine):
            if item["operation"] is None or (names and item["name"] not in names):
                continue
            for word in ("InProgress", state):
                answer = await self.report(item, word, machine, **(more if word == state else {}))
                assert answer.status_code == 200, answer.text
                assert answer.json() == {"accepted": True}

    async def install(self, name: str = "probe", machine: str = "web-01", /, **properties: Any) -> None:
        """PUT, and the machine does it."""
        answer = await self.put(name, machine, **properties)
        assert answer.status_code == 202, answer.text
        await self.obey(machine=machine)
        assert (await self.operation(answer))["status"] == "Succeeded"

    async def add_machine(self, name: str) -> None:
        body = {
            "location": "westeurope",
            "identity": {"type": "SystemAssigned"},
            "properties": {"vmId": VM_IDS[name]},
        }
        answer = await self.arm("PUT", self.machine(name), body)
        assert answer.status_code == 200, answer.text

    async def prepare(self) -> None:
        """A group, the provider, and one machine."""
        await self.arm("PUT", self.group, {"location": "westeurope"}, version="2022-09-01")
        register = f"{self.subscription}/providers/Microsoft.HybridCompute/register"
        await self.arm("POST", register, version="2022-09-01")
        await self.add_machine("web-01")


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state after its first start: its keys take a second to make."""
    return plant(tmp_path_factory.mktemp("planted") / "state", seed="extensions")


@pytest.fixture
async def bed(tmp_path: Path, planted: Path) -> AsyncIterator[Bed]:
    state = shutil.copytree(planted, tmp_path / "state")
    settings = Settings(state=state, clock="stepped", seed="extensions")
    async with Bed.opened(settings, folder=tmp_path) as bed:
        await bed.prepare()
        yield bed


def names(items: Sequence[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]
