"""Azure Resource Manager as one principal sees it: plain REST, every call on the record."""

from __future__ import annotations

import json
import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from arcbed.harness import clock
from arcbed.harness.errors import BedError
from arcbed.harness.recorder import Recorder

ARM_SCOPE = "https://management.azure.com/.default"
#: The api-version a call takes where the caller names none, by namespace; the last two are ARM's own routes.
VERSIONS: Mapping[str, str] = {
    "microsoft.hybridcompute": "2024-07-10",
    "microsoft.authorization": "2022-04-01",
    "subscriptions": "2022-12-01",
    "": "2022-09-01",
}
TOKEN_SPARE_SECONDS = 60
#: The states in which an operation stays. Source: ARM, "Track asynchronous Azure operations".
ENDED = frozenset({"Succeeded", "Failed", "Canceled"})


@dataclass(frozen=True, kw_only=True)
class Principal:
    """A service principal with a secret."""

    name: str
    client_id: str
    client_secret: str = field(repr=False)
    object_id: str = ""


@dataclass(frozen=True)
class Answer:
    """What ARM answered."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def error_code(self) -> str:
        """`error.code`, empty when there is none."""
        error = self.body.get("error", self.body) if isinstance(self.body, dict) else {}
        return str(error.get("code", ""))

    def expect_ok(self) -> Answer:
        """This answer.

        Raises:
            BedError: it is an error; use it where the story is not about this call.
        """
        if not self.ok:
            raise BedError(f"ARM answered {self.status}: {json.dumps(self.body)}")
        return self


class Arm:
    """Calls as `principal`, with its secret or with a given `token`.

    Paths begin with a slash; a missing api-version is filled in by namespace.
    """

    def __init__(
        self,
        env: Mapping[str, Any],
        principal: Principal,
        recorder: Recorder | None,
        trust: ssl.SSLContext,
        *,
        token: str = "",
    ) -> None:
        self.principal = principal
        self.subscription = f"/subscriptions/{env['subscriptionId']}"
        self._env = env
        self._recorder = recorder
        self._client = httpx.AsyncClient(
            base_url=env["armEndpoint"], verify=trust, trust_env=False, timeout=30
        )
        self._token = token
        self._token_until = math.inf if token else 0.0

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    def group_id(self, group: str) -> str:
        """The ARM id of a resource group."""
        return f"{self.subscription}/resourceGroups/{group}"

    def machine_id(self, group: str, name: str) -> str:
        """The ARM id of a machine."""
        return f"{self.group_id(group)}/providers/Microsoft.HybridCompute/machines/{name}"

    async def get(self, path: str, api_version: str | None = None, **query: str) -> Answer:
        """GET `path`."""
        return await self.call("GET", path, api_version=api_version, query=query)

    async def put(self, path: str, body: Any, api_version: str | None = None) -> Answer:
        """PUT `body` to `path`."""
        return await self.call("PUT", path, body, api_version=api_version)

    async def patch(self, path: str, body: Any, api_version: str | None = None) -> Answer:
        """PATCH `path` with `body`."""
        return await self.call("PATCH", path, body, api_version=api_version)

    async def post(self, path: str, body: Any = None, api_version: str | None = None) -> Answer:
        """POST `body` to `path`."""
        return await self.call("POST", path, body, api_version=api_version)

    async def delete(self, path: str, api_version: str | None = None) -> Answer:
        """DELETE `path`; see `finished` for operations that go on."""
        return await self.call("DELETE", path, api_version=api_version)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        api_version: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, put on the record with its status and, where it failed, its error document."""
        parameters = {"api-version": api_version or version_for(path), **(query or {})}
        headers = {"Authorization": f"Bearer {await self.token()}"}
        return await self._send(method, path, headers=headers, params=parameters, json=body)

    async def finished(self, answer: Answer, *, within: float = 30.0) -> Answer:
        """`answer`, or the last poll of the operation it began, through Azure-AsyncOperation or Location.

        Raises:
            BedError: the operation does not end within `within` real seconds.
        """
        monitor = answer.headers.get("azure-asyncoperation") or answer.headers.get("location")
        if answer.status not in {201, 202} or not monitor:
            return answer
        headers = {"Authorization": f"Bearer {await self.token()}"}

        async def poll() -> Answer | None:
            seen = await self._send("GET", monitor, headers=headers)
            status = seen.body.get("status") if isinstance(seen.body, dict) else None
            pending = seen.status == 202 or (status is not None and status not in ENDED)
            return None if pending else seen

        last = await clock.until(poll, limit=within)
        if last is None:
            raise BedError(f"the operation at {monitor} did not end within {within:g} s")
        return last

    async def token(self) -> str:
        """An access token for ARM, kept until a minute before it ends.

        Raises:
            BedError: Entra refuses the principal.
        """
        if self._token and clock.epoch() < self._token_until:
            return self._token
        form = {
            "grant_type": "client_credentials",
            "client_id": self.principal.client_id,
            "client_secret": self.principal.client_secret,
            "scope": ARM_SCOPE,
        }
        url = f"{self._env['authority']}/{self._env['tenantId']}/oauth2/v2.0/token"
        answer = await self._send("POST", url, data=form)
        if not answer.ok:
            raise BedError(f"no token for {self.principal.name}: {answer.body}")
        self._token = str(answer.body["access_token"])
        self._token_until = clock.epoch() + float(answer.body["expires_in"]) - TOKEN_SPARE_SECONDS
        return self._token

    async def _send(self, method: str, url: str, **options: Any) -> Answer:
        began = clock.monotonic()
        response = await self._client.request(method, url, **options)
        answer = Answer(response.status_code, response.headers, _body(response))
        if self._recorder:
            self._recorder.event(
                "http",
                f"{method} {response.request.url.path}",
                seconds=clock.monotonic() - began,
                mark=str(answer.status),
                body="" if answer.ok else json.dumps(answer.body, indent=2),
            )
        return answer


def version_for(path: str) -> str:
    """The api-version for the resource type that `path` ends in."""
    if re.fullmatch(r"/subscriptions(/[^/]+)?", path, re.IGNORECASE):
        return VERSIONS["subscriptions"]
    namespaces = re.findall(r"/providers/([^/]+)/(?!(?:un)?register$)", path, re.IGNORECASE)
    return VERSIONS.get(namespaces[-1].lower() if namespaces else "", VERSIONS[""])


def _body(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text
