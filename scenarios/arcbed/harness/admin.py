"""The testbed's own API of a control plane, over its Unix socket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from arcbed.harness.arm import Principal
from arcbed.harness.errors import BedError


class Admin:
    """Calls to ``/_fakecloud/...`` of the control plane whose state folder is `state`."""

    def __init__(self, state: Path) -> None:
        self._state = state

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call; the answer's JSON.

        Raises:
            BedError: it was refused.
        """
        token = (self._state / "admin.token").read_text().strip()
        transport = httpx.AsyncHTTPTransport(uds=str(self._state / "admin.sock"))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30) as client:
            answer = await client.request(
                method, f"/_fakecloud/{path}", json=body, headers={"Authorization": f"Bearer {token}"}
            )
        if answer.is_error:
            raise BedError(f"the admin API answered {answer.status_code} to {method} {path}: {answer.text}")
        return answer.json() if answer.content else None

    async def state(self) -> Mapping[str, Any]:
        """What the control plane holds: rows by table, the bed's clock, the seed of the ids."""
        found: Mapping[str, Any] = await self.call("GET", "state")
        return found

    async def directory(self) -> list[Mapping[str, Any]]:
        """Everyone in the directory: people, applications and machines."""
        found: list[Mapping[str, Any]] = (await self.call("GET", "principals"))["principals"]
        return found

    async def reset(self) -> None:
        """Back to the state of a first start."""
        await self.call("POST", "reset")

    async def principal(self, name: str, role: str | None = None, scope: str | None = None) -> Principal:
        """A new service principal with a secret; with `role`, a built-in one, at `scope`.

        Raises:
            BedError: there is no such role.
        """
        wanted = {"name": name, "role": role, "scope": scope}
        made = await self.call(
            "POST", "principals", {key: value for key, value in wanted.items() if value is not None}
        )
        return Principal(
            name=name,
            client_id=made["clientId"],
            client_secret=made["clientSecret"],
            object_id=made["objectId"],
        )
