"""The Hybrid Identity Service: who a machine is and that it lives. No HTTP; ``docs/wire.md``, 6 to 10."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from arcbed_cloud.arm.request import Caller
from arcbed_cloud.plane import Plane
from arcbed_cloud.providers.hybridcompute.machines import Machines
from arcbed_cloud.services.entra.directory import Directory
from arcbed_cloud.services.entra.tokens import ARM_AUDIENCES, TokenError, Tokens
from arcbed_cloud.services.his.errors import HisError, machine_not_found, token_refused
from arcbed_cloud.services.his.heartbeats import CONFIG_GENERATION, HeartbeatAnswer, Heartbeats
from arcbed_cloud.services.his.identities import Identities, IdentityAnswer, IdentityRequest
from arcbed_cloud.services.his.regions import CONTRACT, Address
from arcbed_cloud.services.packages import Shelf
from arcbed_cloud.store import Row

LOG_ROWS = 1_000
_TRIM_EVERY = 100


@dataclass(frozen=True, slots=True)
class Config:
    """The cloud configuration of a machine, ready to send."""

    body: bytes
    etag: str


class HisService:
    """All of the service's domain.

    Two switches serve tests of agents: `not_ready` counts identity requests still to be refused with
    IdentityNotReady by vmId, `moved` names the base URL that a machine's heartbeats are sent to with 421.
    """

    def __init__(
        self,
        plane: Plane,
        directory: Directory,
        tokens: Tokens,
        machines: Machines,
        shelf: Shelf | None = None,
    ) -> None:
        self.plane = plane
        self.shelf = shelf or Shelf(plane.settings.state)
        self._tokens = tokens
        self._machines = machines
        self._logged = 0
        self.not_ready: dict[str, int] = {}
        self.moved: dict[str, str] = {}
        self.identities = Identities(plane, directory, machines)
        self.heartbeats = Heartbeats(plane, machines, self.identities, self.shelf)

    # -- who calls -----------------------------------------------------------------------------------------

    def caller(self, token: str) -> Caller:
        """The principal behind an access token.

        Raises:
            HisError: 401 InvalidToken or TokenExpired.
        """
        try:
            return self._tokens.verify(token, ARM_AUDIENCES)
        except TokenError as error:
            raise token_refused(error) from error

    def machine(self, vm_id: str) -> Row:
        """The machine with this vmId.

        Raises:
            HisError: 404 MachineNotFound, also while it is being deleted.
        """
        row = self._machines.by_vm_id(vm_id)
        if row is None or row.document["properties"]["provisioningState"] == "Deleting":
            raise machine_not_found(vm_id)
        return row

    @staticmethod
    def check_caller(machine: Row, caller: Caller) -> None:
        """Only the machine's own identity speaks for it.

        Raises:
            HisError: 403 MachineMismatch.
        """
        identity = machine.document.get("identity", {})
        if (
            caller.object_id != identity.get("principalId")
            or caller.tenant_id != identity.get("tenantId")
            or (caller.resource_id or "").lower() != machine.key
        ):
            raise HisError(
                403,
                "MachineMismatch",
                "The token is not that of the machine in the path.",
                machine.document["properties"]["vmId"],
            )

    # -- routes --------------------------------------------------------------------------------------------

    async def identity(self, vm_id: str, request: IdentityRequest, token: str | None) -> IdentityAnswer:
        """A certificate: for a first one the proof is enough, later ones need the machine's token as well.

        Raises:
            HisError: what ``docs/wire.md`` lists for the route.
        """
        machine = self.machine(vm_id)
        repeated = self.identities.check(machine, request)
        if request.wish()["reason"] != "initial":
            self.check_caller(machine, self.caller(token or ""))
        if repeated is not None:
            return repeated
        left = self.not_ready.get(vm_id.lower(), 0)
        if left > 0:
            self.not_ready[vm_id.lower()] = left - 1
            raise HisError(403, "IdentityNotReady", "The machine's principal is not there yet.")
        return await self.identities.issue(vm_id, request)

    async def heartbeat(
        self, vm_id: str, caller: Caller, body: bytes, *, instance: str = "", request_id: str = ""
    ) -> HeartbeatAnswer:
        """One heartbeat.

        Args:
            vm_id: the machine in the path.
            caller: the principal of the bearer token.
            body: JSON.
            instance: the header ``x-arc-instance``.
            request_id: the header ``Repeatability-Request-ID``.

        Raises:
            HisError: what ``docs/wire.md`` lists for the route.
        """
        machine = self.machine(vm_id)
        self.check_caller(machine, caller)
        if base := self.moved.get(vm_id.lower()):
            raise HisError(421, "MisdirectedRequest", "The machine belongs to another region.", base)
        if self.identities.expired(vm_id):
            raise HisError(403, "IdentityExpired", "The machine's identity has expired.")
        return await self.heartbeats.beat(machine, body, instance=instance, request_id=request_id)

    def config(self, vm_id: str, caller: Caller, address: Address) -> Config:
        """What a machine needs to know of its cloud.

        Raises:
            HisError: MachineNotFound, MachineMismatch.
        """
        machine = self.machine(vm_id)
        self.check_caller(machine, caller)
        body = orjson.dumps(
            {
                "generation": CONFIG_GENERATION,
                "endpoints": address.services(machine.document["location"]),
                "gateway": None,
            }
        )
        return Config(body, f'"config.{hashlib.sha256(body).hexdigest()[:16]}"')

    async def log(self, body: bytes, content_type: str) -> None:
        """Keep what an onboarding script says; the newest thousand."""
        try:
            said: Any = orjson.loads(body)
        except ValueError:
            said = body.decode(errors="replace")
        self._logged += 1
        if self._logged % _TRIM_EVERY == 1:
            self.plane.store.trim("his_log", LOG_ROWS)
        async with self.plane.store.unit() as unit:
            at = self.plane.clock.now().isoformat()
            unit.append("his_log", {"at": at, "contentType": content_type, "said": said})

    def versions(self, os_type: str, base: str) -> dict[str, Any]:
        """Agent versions that were published to this bed, oldest first; a version's .deb stands for it.

        Args:
            os_type: ``Linux``, in any case, or empty for all; there are no others.
            base: the URL of the service, without a slash at the end.
        """
        index = self.shelf.index()
        wanted = not os_type or os_type.lower() == "linux"
        found = {
            package.version: {
                "version": package.version,
                "released": package.released,
                "sha256": package.sha256,
                "uri": f"{base}/azcmagent/{package.version}/{package.file}",
            }
            for package in sorted(index.packages, key=lambda entry: (entry.order, entry.kind == "deb"))
            if wanted
        }
        return {"latest": index.latest if wanted else None, "supported": list(found.values())}

    def package(self, version: str, file: str) -> Path:
        """The file of a published package.

        Raises:
            HisError: 404 NotFound.
        """
        known = any(entry.version == version and entry.file == file for entry in self.shelf.index().packages)
        path = self.shelf.file(file) if known else None
        if path is None:
            raise HisError(404, "NotFound", f"There is no package {file} of version {version}.")
        return path

    def health(self) -> dict[str, Any]:
        """Contract, bed time, and the limits that this service keeps to."""
        settings = self.plane.settings
        return {
            "contract": [CONTRACT],
            "now": bed_time(self.plane),
            "clock": self.plane.clock.mode,
            "services": {"his": "ok"},
            "limits": {
                "heartbeatSeconds": settings.heartbeat_seconds,
                "heartbeatThrottle": settings.heartbeat_throttle,
                "heartbeatBytes": 65_536,
                "identitiesAnHour": 6,
                "requestsInFlight": 256,
            },
        }


def bed_time(plane: Plane) -> str:
    """The bed's time with milliseconds, as in ``x-sim-now``."""
    return plane.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
