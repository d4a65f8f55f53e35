"""What gcad and extd ask of himds on the local endpoint: who this machine is, its tokens, its tags.

himds alone makes tokens; they are clients like any other (``docs/wire.md`` section 8.4). Observed: gcad uses
api-version 2019-08-15 and the audience of the agent's own services.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.routes import Way, answered
from arcbed_agent.cloud.transport import CloudError, UnreachableError, refusal
from arcbed_agent.config import AgentConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.client import HimdsClient
from arcbed_agent.himds.tokens import SERVICES
from arcbed_agent.host.layout import Layout

VERSION: Final = "2019-08-15"
#: A token is asked for again after this much of the machine's time: himds knows when it has become old.
KEPT: Final = timedelta(hours=1)
_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)


class LocalIdentity(Protocol):
    """What this machine is in Azure."""

    def config(self) -> AgentConfig:
        """What it is connected as; empty while it is not."""

    async def token(self, resource: str = SERVICES, *, bypass_cache: bool = False) -> str:
        """An access token of the machine.

        Raises:
            UnreachableError: himds or Entra cannot be reached.
            CloudError: it is refused.
        """

    async def tags(self) -> Mapping[str, str]:
        """The machine's tags in Azure; what was known last when himds does not answer."""

    async def close(self) -> None:
        """Drop connections."""


class Himds:
    """himds of this machine, over its socket and its HTTP endpoint.

    Args:
        layout: where its socket, its configuration and its key files are.
        clock: the machine's time.
        inner: replaces the network (tests).
    """

    def __init__(
        self, layout: Layout, clock: Clock, *, inner: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._layout = layout
        self._clock = clock
        self._way = inner or Way()
        self._base = ""
        self._tokens: dict[str, tuple[str, float, datetime]] = {}
        self._tags: dict[str, str] = {}

    def config(self) -> AgentConfig:
        """What the machine is connected as, from `agentconfig.json`."""
        try:
            return AgentConfig.load(self._layout)
        except AgentError:
            return AgentConfig()

    async def token(self, resource: str = SERVICES, *, bypass_cache: bool = False) -> str:
        """An access token of the machine; see `LocalIdentity`."""
        if resource in self._tokens and not bypass_cache:
            value, until_wall, until_now = self._tokens[resource]
            if self._clock.wall() < until_wall and self._clock.now() < until_now:
                return value
        query = {"resource": resource} | ({"bypass_cache": "true"} if bypass_cache else {})
        document = await self._granted(query)
        value, left = str(document.get("access_token", "")), float(document.get("expires_in") or 0)
        self._tokens[resource] = (value, self._clock.wall() + left * 0.8, self._clock.now() + KEPT)
        return value

    async def _granted(self, query: Mapping[str, str]) -> dict[str, Any]:
        path = "/metadata/identity/oauth2/token"
        first = await self._get(path, query)
        if first.status_code != 401:
            raise _refused(first)
        realm = first.headers.get("www-authenticate", "").partition("Basic realm=")[2]
        try:
            secret = Path(realm).read_text()  # noqa: ASYNC240 - a few bytes on a local disk
        except OSError as error:
            raise UnreachableError(str(first.url.copy_with(query=None)), f"the key file: {error}") from error
        answer = await self._get(path, query, {"Authorization": f"Basic {secret}"})
        if answer.status_code != 200:
            raise _refused(answer)
        document: dict[str, Any] = answer.json()
        return document

    async def tags(self) -> Mapping[str, str]:
        """The machine's tags in Azure; see `LocalIdentity`."""
        try:
            answer = await self._get("/metadata/instance/compute", {})
            if answer.status_code == 200:
                listed = answer.json().get("tagsList") or []
                self._tags = {str(tag["name"]): str(tag["value"]) for tag in listed}
        except (UnreachableError, ValueError, KeyError, TypeError):
            pass
        return self._tags

    def forget(self) -> None:
        """Ask for everything again: the machine may have become another."""
        self._tokens.clear()
        self._tags = {}
        self._base = ""

    async def close(self) -> None:
        """Drop connections."""
        await self._way.aclose()

    async def _get(
        self, path: str, query: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        base = self._base or await self._find()
        request = httpx.Request(
            "GET",
            f"{base}{path}",
            params={"api-version": VERSION, **query},
            headers={"Metadata": "true", **(headers or {})},
            extensions={"timeout": _TIMEOUT.as_dict()},
        )
        try:
            return await answered(self._way, request)
        except httpx.HTTPError as error:
            self._base = ""
            raise UnreachableError(f"{base}{path}", str(error) or type(error).__name__) from error

    async def _find(self) -> str:
        try:
            status = await asyncio.to_thread(HimdsClient(self._layout, timeout=5.0).status)
        except AgentError as error:
            raise UnreachableError("http://localhost", f"himds does not answer: {error.message}") from error
        self._base = f"http://127.0.0.1:{status.port}"
        return self._base


def _refused(answer: httpx.Response) -> CloudError | UnreachableError:
    error = refusal(answer)
    if answer.status_code == 503:
        return UnreachableError(error.url, error.message)
    return error
