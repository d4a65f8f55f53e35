"""The control plane of a bed, as stories and tests use it."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arcbed.harness import clock
from arcbed.harness.arm import Answer, Arm, Principal
from arcbed.harness.contract import CloudHost
from arcbed.harness.errors import BedError
from arcbed.harness.recorder import Recorder

NAMESPACE = "Microsoft.HybridCompute"
LOCATION = "westeurope"


class Cloud:
    """A running control plane.

    Attributes:
        arm: ARM as the owner of the subscription.
        owner: the owner.
        onboarding: a principal that may only onboard machines.
        admin: the testbed's own API.
    """

    def __init__(self, host: CloudHost, recorder: Recorder | None = None) -> None:
        self.host = host
        self.admin = host.admin
        self.recorder = recorder
        self.owner = _principal("owner", self.env["owner"])
        self.onboarding = _principal("onboarding", self.env["onboarding"])
        self._trust = ssl.create_default_context(cafile=self.env["caFile"])
        self._arms: list[Arm] = []
        self._numbers = itertools.count(1)
        self.arm = self.as_principal(self.owner)

    @property
    def env(self) -> Mapping[str, Any]:
        """Endpoints, ids, CA file and principals, as ``fakecloud env --json`` gives them."""
        return self.host.env

    @property
    def subscription_id(self) -> str:
        """The subscription of the bed."""
        return str(self.env["subscriptionId"])

    @property
    def tenant_id(self) -> str:
        """The tenant of the bed."""
        return str(self.env["tenantId"])

    def as_principal(self, principal: Principal) -> Arm:
        """ARM as `principal` sees it."""
        arm = Arm(self.env, principal, self.recorder, self._trust)
        self._arms.append(arm)
        return arm

    def as_token(self, name: str, token: str) -> Arm:
        """ARM as the bearer of `token` sees it; `name` is for messages."""
        bearer = Principal(name=name, client_id="", client_secret="")
        arm = Arm(self.env, bearer, self.recorder, self._trust, token=token)
        self._arms.append(arm)
        return arm

    async def principal(self, name: str, role: str | None = None, scope: str | None = None) -> Principal:
        """A new service principal; with `role`, a built-in one, at `scope` (default: the subscription).

        Raises:
            BedError: there is no such role.
        """
        return await self.admin.principal(name, role, scope)

    async def assign(self, object_id: str, role: str, scope: str | None = None) -> Answer:
        """Ask ARM to give a built-in role to a principal at `scope` (default: the subscription).

        Raises:
            BedError: there is no such role.
        """
        where = self.arm.subscription if scope is None else scope
        authorization = f"{where}/providers/Microsoft.Authorization"
        found = await self.arm.get(f"{authorization}/roleDefinitions", **{"$filter": f"roleName eq '{role}'"})
        if not found.expect_ok().body["value"]:
            raise BedError(f"there is no role {role!r}")
        definition = found.body["value"][0]["id"]
        name = f"{next(self._numbers):08d}-0000-4000-8000-{object_id[-12:]}"
        return await self.arm.put(
            f"{authorization}/roleAssignments/{name}",
            {"properties": {"roleDefinitionId": definition, "principalId": object_id}},
        )

    async def new_group(self, name: str | None = None, location: str = LOCATION) -> str:
        """An empty resource group; its name."""
        group = name or f"rg-{next(self._numbers)}"
        (await self.arm.put(self.arm.group_id(group), {"location": location})).expect_ok()
        return group

    async def delete_group(self, name: str) -> None:
        """Delete a resource group and what is in it; a missing one is fine."""
        answer = await self.arm.delete(self.arm.group_id(name))
        if answer.status != 404:
            (await self.arm.finished(answer.expect_ok())).expect_ok()

    async def register(self, namespace: str = NAMESPACE, *, within: float = 30.0) -> None:
        """Register a resource provider and wait until it is.

        Raises:
            BedError: it is not within `within` real seconds.
        """
        path = f"{self.arm.subscription}/providers/{namespace}"
        (await self.arm.post(f"{path}/register")).expect_ok()

        async def registered() -> bool | None:
            answer = await self.arm.get(path)
            return answer.body.get("registrationState") == "Registered" or None

        if await clock.until(registered, limit=within) is None:
            raise BedError(f"{namespace} was not registered within {within:g} s")

    async def publish_extension(self, package: Path) -> Mapping[str, Any]:
        """Offer an extension's package, ``Publisher.Type__1.2.3.zip``, to machines; what was published.

        Raises:
            BedError: it is no package that an agent could use; the message says why.
        """
        content = await asyncio.to_thread(package.read_bytes)
        made: Mapping[str, Any] = await self.admin.call("PUT", f"extensions/{package.name}", content=content)
        return made

    async def machine(self, group: str, name: str, api_version: str | None = None) -> Answer:
        """GET the ARM resource of a machine."""
        return await self.arm.get(self.arm.machine_id(group, name), api_version)

    async def close(self) -> None:
        """Let go of the connections; the host is stopped by the bed."""
        for arm in self._arms:
            await arm.close()


def _principal(name: str, found: Mapping[str, Any]) -> Principal:
    return Principal(
        name=name,
        client_id=found["clientId"],
        client_secret=found["clientSecret"],
        object_id=found["objectId"],
    )
