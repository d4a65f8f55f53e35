"""The testbed's own API of a control plane, over its Unix socket or over TCP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from arcbed.harness.arm import Principal
from arcbed.harness.errors import BedError


class Admin:
    """Calls to ``/_fakecloud/...`` of a control plane.

    Args:
        state: the folder with its ``admin.token``, and its socket.
        url: where it listens on TCP; empty is the socket in `state`.
    """

    def __init__(self, state: Path, url: str = "") -> None:
        self._state = state
        self._url = url

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: bytes | None = None,
        limit: float | None = 30.0,
    ) -> Any:
        """One call with `body` as JSON or with `content` as it is; the answer's JSON.

        Args:
            method: of HTTP.
            path: below ``/_fakecloud/``.
            body: sent as JSON.
            content: sent as it is.
            limit: real seconds for the answer; None waits for as long as it takes.

        Raises:
            BedError: it was refused, or nobody answers.
        """
        answer = await self._answer(method, path, body, content=content, limit=limit)
        return answer.json() if answer.content else None

    async def read(self, path: str) -> bytes:
        """What is at `path`, such as the content of a blob.

        Raises:
            BedError: it was refused, or nobody answers.
        """
        return (await self._answer("GET", path)).content

    async def _answer(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: bytes | None = None,
        limit: float | None = 30.0,
    ) -> httpx.Response:
        try:
            token = (self._state / "admin.token").read_text().strip()
            headers = {"Authorization": f"Bearer {token}"}
            with self._client() as client:
                async with client:
                    answer = await client.request(
                        method,
                        f"/_fakecloud/{path}",
                        json=body,
                        content=content,
                        headers=headers,
                        timeout=limit,
                    )
        except (OSError, httpx.TransportError) as error:
            raise BedError(f"the control plane on {self._state} does not answer: {error}") from error
        if answer.is_error:
            raise BedError(f"the admin API answered {answer.status_code} to {method} {path}: {answer.text}")
        return answer

    async def ready(self) -> bool:
        """Whether the control plane says that it is ready; False where nobody answers."""
        with suppress(OSError, httpx.TransportError), self._client() as client:
            async with client:
                return (await client.get("/_fakecloud/ready")).status_code == 200
        return False

    @contextmanager
    def _client(self) -> Iterator[httpx.AsyncClient]:
        """A client of the socket; by its folder's handle, since the path may be too long for the kernel."""
        if self._url:
            yield httpx.AsyncClient(base_url=self._url, trust_env=False, timeout=30)
            return
        folder = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY)
        try:
            transport = httpx.AsyncHTTPTransport(uds=f"/proc/self/fd/{folder}/admin.sock")
            yield httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=30)
        finally:
            os.close(folder)

    async def state(self) -> Mapping[str, Any]:
        """What the control plane holds: rows by table, the bed's clock, the seed of the ids."""
        found: Mapping[str, Any] = await self.call("GET", "state")
        return found

    async def directory(self) -> list[Mapping[str, Any]]:
        """Everyone in the directory: people, applications and machines."""
        found: list[Mapping[str, Any]] = (await self.call("GET", "principals"))["principals"]
        return found

    async def publish(self, package: Path, *, as_latest: bool = False) -> str:
        """Put an agent package on the package hosts; its version.

        Args:
            package: a .deb or .rpm.
            as_latest: make it the version that automatic upgrades go to.

        Raises:
            BedError: it is no package of the agent.
        """
        path = f"packages/{package.name}?latest={'true' if as_latest else 'false'}"
        made = await self.call("PUT", path, content=await asyncio.to_thread(package.read_bytes))
        return str(made["version"])

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
