"""A control plane in process with a clock that stands still, one machine, and calls as its owner or it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.in_process import BASE, CloudBed, plant

from arcbed_cloud.settings import Settings

VM_IDS = {
    name: f"9a0d1c9e-2f10-4d53-9d5e-{number:012d}" for number, name in enumerate(("web-01", "web-02"), 1)
}
VERSION = "2024-04-05"
PROVIDER = "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments"


def report_id(number: int) -> str:
    return f"11111111-2222-4333-8444-{number:012d}"


@dataclass
class Bed(CloudBed):
    def assignment(self, name: str, machine: str = "web-01") -> str:
        return f"{self.machine(machine)}/{PROVIDER}/{name}"

    async def arm(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str = VERSION,
        query: dict[str, str] | None = None,
    ) -> httpx.Response:
        token = self.token(self.cloud.estate.owner.objectId)
        return await self.http.request(
            method,
            f"{BASE}{path}",
            params={"api-version": version, **(query or {})},
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        )

    async def gas(
        self,
        method: str,
        path: str,
        *,
        machine: str = "web-01",
        who: str | None = None,
        headers: dict[str, str] | None = None,
        version: str = "sim-1",
        host: str = f"{BASE}/gas",
        **more: Any,
    ) -> httpx.Response:
        """Call the agent service about a machine, as that machine or as `who`."""
        row = self.cloud.machines.get(self.machine(who or machine).lower())
        token = self.token(row.document["identity"]["principalId"], "https://management.core.windows.net/")
        return await self.http.request(
            method,
            f"{host}/virtualMachines/{VM_IDS[machine]}{path}",
            params={"api-version": version},
            headers={"Authorization": f"Bearer {token}", **(headers or {})},
            **more,
        )

    @staticmethod
    def days(count: float) -> timedelta:
        return timedelta(days=count)

    async def restart(self, *, later: timedelta = timedelta(), killed: bool = False) -> None:
        """End the process and start another on its state; `later` is how long the bed was away."""
        if killed:  # nothing of what an orderly end writes
            self.cloud.gas.shutdown = self.settle
        await super().restart(later=later)

    async def pull(self, machine: str = "web-01", etag: str = "") -> httpx.Response:
        answer = await self.gas(
            "GET", "/assignments", machine=machine, headers={"If-None-Match": etag} if etag else None
        )
        assert answer.status_code in {200, 304}, answer.text
        return answer

    async def names(self, machine: str = "web-01") -> tuple[list[str], list[str]]:
        """Pull; what is given, and what is dropped."""
        document = (await self.pull(machine)).json()
        return [item["name"] for item in document["value"]], document["dropped"]

    async def report(
        self, name: str, number: int = 1, machine: str = "web-01", **more: Any
    ) -> httpx.Response:
        """Report on the current version of an assignment; `number` makes id and seq."""
        return await self.send_report(name, number, self.finding(name, number, machine, **more), machine)

    async def send_report(self, name: str, number: int, body: Any, machine: str = "web-01") -> httpx.Response:
        path = f"/assignments/{name}/reports/{report_id(number)}"
        return await self.gas("PUT", path, machine=machine, json=body)

    def finding(self, name: str, number: int = 1, machine: str = "web-01", **more: Any) -> dict[str, Any]:
        row = self.cloud.assignments.get(self.machine(machine), name)
        now = f"{self.clock.now():%Y-%m-%dT%H:%M:%SZ}"
        return {
            "assignmentName": name,
            "assignmentHash": row.document["properties"]["assignmentHash"],
            "itemGeneration": row.document["agent"]["itemGeneration"],
            "configuration": {"name": name, "version": "1.0.0"},
            "operationType": "Consistency",
            "jobId": report_id(number),
            "startTime": now,
            "endTime": now,
            "complianceStatus": "Compliant",
            "resources": [
                {
                    "resourceId": "[nxFile]motd",
                    "complianceStatus": "Compliant",
                    "properties": {"ResourceId": "[nxFile]motd", "DestinationPath": "/etc/motd"},
                    "reasons": [{"code": "DSC::RESOURCE::SUCCESS", "phrase": "Operation successful."}],
                }
            ],
            "engine": {"version": "1", "worker": "gc_worker"},
            "seq": number,
            **more,
        }

    async def add_machine(self, name: str) -> None:
        body = {
            "location": "westeurope",
            "identity": {"type": "SystemAssigned"},
            "properties": {"vmId": VM_IDS[name]},
        }
        answer = await self.arm("PUT", self.machine(name), body, version="2024-07-10")
        assert answer.status_code == 200, answer.text

    async def assign(self, name: str, machine: str = "web-01", /, **configuration: Any) -> httpx.Response:
        given = {"name": name, "version": "1.0.0", "assignmentType": "ApplyAndAutoCorrect", **configuration}
        body = {"location": "westeurope", "properties": {"guestConfiguration": given}}
        return await self.arm("PUT", self.assignment(name, machine), body)

    async def shown(self, name: str, machine: str = "web-01") -> dict[str, Any]:
        answer = await self.arm("GET", self.assignment(name, machine))
        assert answer.status_code == 200, answer.text
        return answer.json()["properties"]


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state after its first start: its keys take a second to make."""
    return plant(tmp_path_factory.mktemp("planted") / "state", seed="gas")


@pytest.fixture
def changes() -> dict[str, Any]:
    """Settings that differ from the defaults; override it."""
    return {}


@pytest.fixture
def settings(tmp_path: Path, planted: Path, changes: dict[str, Any]) -> Settings:
    state = shutil.copytree(planted, tmp_path / "state")
    return Settings(state=state, clock="stepped", seed="gas", **changes)


@pytest.fixture
async def bed(settings: Settings) -> AsyncIterator[Bed]:
    """A bed whose machines are web-01 and web-02."""
    async with Bed.opened(settings) as bed:
        assert (await bed.arm("PUT", bed.group, {"location": "westeurope"}, version="2022-09-01")).is_success
        for namespace in ("HybridCompute", "GuestConfiguration"):
            path = f"{bed.subscription}/providers/Microsoft.{namespace}/register"
            assert (await bed.arm("POST", path, version="2022-09-01")).status_code == 200
        for name in VM_IDS:
            await bed.add_machine(name)
        yield bed
