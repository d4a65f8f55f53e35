"""A control plane in process with a clock that stands still, one Linux machine, and calls as its owner."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.in_process import BASE, CloudBed, plant

from arcbed_cloud.settings import Settings

CONTRIBUTOR = "088ab73d-1256-47ae-bea9-9de8e7131f31"
BUILTIN = "/providers/Microsoft.Authorization/policyDefinitions"
POLICY = "providers/Microsoft.Authorization"
INSIGHTS = "providers/Microsoft.PolicyInsights"
GUESTS = "providers/Microsoft.GuestConfiguration/guestConfigurationAssignments"
BASELINE = f"{BUILTIN}/fc9b3da7-8347-4380-8e70-0a0361d8dedd"
SSH_SET = f"{BUILTIN}/e22a2f03-0534-4d10-8ea0-aa25a6113233"
PASSWORDS = "/providers/Microsoft.Authorization/policySetDefinitions/095e4ed9-c835-4ab6-9439-b5644362a06c"
ARC = {"IncludeArcMachines": {"value": "true"}}
VERSIONS = {
    "policyAssignments": "2024-05-01",
    "policyDefinitions": "2024-05-01",
    "policySetDefinitions": "2024-05-01",
    "policyExemptions": "2020-07-01-preview",
    "policyStates": "2019-10-01",
    "asyncOperationResults": "2019-10-01",
    "remediations": "2021-10-01",
    "machines": "2024-07-10",
    "guestConfigurationAssignments": "2024-04-05",
    "roleAssignments": "2022-04-01",
}


@dataclass
class Bed(CloudBed):
    """As its owner, unless a test says otherwise."""

    async def arm(self, method: str, path: str, body: Any = None, *, who: str | None = None, **query: str):
        """Call ARM as the owner or `who`; the api-version follows from the path unless it is given."""
        token = self.token(who or self.cloud.estate.owner.objectId)
        known = max(VERSIONS, key=lambda kind: path.rfind(f"/{kind}"))
        version = VERSIONS[known] if f"/{known}" in path else "2022-09-01"
        query = {"api-version": version, **query}
        return await self.http.request(
            method,
            path if path.startswith("https:") else f"{BASE}{path}",
            params=None if path.startswith("https:") else query,
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        )

    async def ok(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """Like `arm`, with the document of an answer that must be a success."""
        answer = await self.arm(method, path, body, **query)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def add_machine(self, name: str = "web-01", system: str = "linux") -> None:
        number = int(name.rsplit("-", 1)[-1])
        body = {
            "location": "westeurope",
            "identity": {"type": "SystemAssigned"},
            "properties": {"vmId": f"9a0d1c9e-2f10-4d53-9d5e-{number:012d}", "osType": system},
        }
        await self.ok("PUT", self.machine(name), body)

    async def assign(self, name: str = "p1", definition: str = BASELINE, /, **more: Any) -> Any:
        scope = more.pop("scope", self.group)
        top = {key: more.pop(key) for key in ("identity", "location") if key in more}
        properties = {"policyDefinitionId": definition, "parameters": ARC, **more}
        return await self.ok(
            "PUT", f"{scope}/{POLICY}/policyAssignments/{name}", {**top, "properties": properties}
        )

    async def assign_deploying(self, name: str = "p1", *, trusted: bool = True, **more: Any) -> Any:
        """Assign the SSH definition that deploys, with an identity that may (or may not) do so."""
        made = await self.assign(
            name, SSH_SET, identity={"type": "SystemAssigned"}, location="westeurope", **more
        )
        if trusted:
            await self.trust(made)
        return made

    async def trust(self, assignment: Any) -> None:
        role = f"{self.subscription}/{POLICY}/roleDefinitions/{CONTRIBUTOR}"
        body = {"roleDefinitionId": role, "principalId": assignment["identity"]["principalId"]}
        name = self.cloud.plane.ids.guid()
        await self.ok("PUT", f"{self.group}/{POLICY}/roleAssignments/{name}", {"properties": body})

    async def guest(self, name: str, machine: str = "web-01") -> Any:
        """The guest assignment as ARM shows it, or None."""
        answer = await self.arm("GET", f"{self.machine(machine)}/{GUESTS}/{name}")
        return answer.json()["properties"] if answer.status_code == 200 else None

    async def report(self, name: str, status: str, machine: str = "web-01") -> None:
        """What the arrival of a report makes of a guest assignment."""
        row = self.cloud.assignments.get(self.machine(machine), name)
        now = f"{self.clock.now():%Y-%m-%dT%H:%M:%SZ}"
        properties = {
            **row.document["properties"],
            "complianceStatus": status,
            "lastComplianceStatusChecked": now,
        }
        async with self.cloud.plane.store.unit() as unit:
            self.cloud.assignments.keep(unit, {**row.document, "properties": properties})
        await self.settle()

    async def states(self, scope: str | None = None, **query: str) -> list[Any]:
        path = f"{scope or self.subscription}/{INSIGHTS}/policyStates/latest/queryResults"
        return (await self.ok("POST", path, **query))["value"]

    async def state(self, machine: str = "web-01") -> str | None:
        """The one state of a machine."""
        found = await self.states(self.machine(machine))
        assert len(found) < 2, found
        return found[0]["complianceState"] if found else None


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state after its first start: its keys take a second to make."""
    return plant(tmp_path_factory.mktemp("planted") / "state", seed="policy")


@pytest.fixture
async def bed(tmp_path: Path, planted: Path) -> AsyncIterator[Bed]:
    """A bed whose machine is web-01."""
    state = shutil.copytree(planted, tmp_path / "state")
    async with Bed.opened(Settings(state=state, clock="stepped", seed="policy")) as bed:
        await bed.ok("PUT", bed.group, {"location": "westeurope"})
        for namespace in ("HybridCompute", "GuestConfiguration", "PolicyInsights"):
            await bed.ok("POST", f"{bed.subscription}/providers/Microsoft.{namespace}/register")
        await bed.add_machine()
        yield bed
