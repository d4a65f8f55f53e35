"""The regional guest configuration service: assignments and extensions down, reports up.

Shapes: ``docs/wire.md`` sections 11 and 12.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.endpoints import CONTRACT, Directory
from arcbed_agent.cloud.transport import CloudError, Transport, UnreachableError, document_of

#: Real seconds for an answer. Documented: the agent's send and read time-outs are three minutes.
READ_TIMEOUT: Final = 180.0
_TTL: Final = timedelta(days=1)
_FAILURES: Final = 3
_PAGES: Final = 100


@dataclass(frozen=True)
class Pull:
    """An answer to a pull.

    Args:
        document: the desired state; None when it is what it was (304).
        etag: of the desired state.
        next_seconds: when the service wants to be asked again; None leaves it to the agent.
    """

    document: Mapping[str, Any] | None
    etag: str
    next_seconds: int | None


class GasClient:
    """Calls for one machine. Raises UnreachableError and CloudError as the transport does.

    Args:
        base: regional URL without a slash at the end.
        vm_id: the machine.
    """

    def __init__(self, transport: Transport, base: str, vm_id: str) -> None:
        self._transport = transport
        self.base = f"{base}/virtualMachines/{vm_id}"

    async def assignments(self, access_token: str, *, etag: str = "") -> Pull:
        """The desired state, if it differs from the one marked `etag`."""
        return await self._pull("assignments", access_token, etag)

    async def extensions(self, access_token: str, *, etag: str = "") -> Pull:
        """The goal state of extensions, if it differs from the one marked `etag`."""
        return await self._pull("extensions", access_token, etag)

    async def _pull(self, kind: str, access_token: str, etag: str) -> Pull:
        headers = _bearer(access_token) | ({"If-None-Match": etag} if etag else {})
        answer = await self._send("GET", kind, headers)
        pace = answer.headers.get("x-arc-next-seconds", "")
        if answer.status_code == 304:
            return Pull(None, etag, int(pace) if pace.isdigit() else None)
        document = document_of(answer)
        if not isinstance(document.get("value"), list):
            raise CloudError(answer.status_code, "InvalidAnswer", "the answer has no list", url=self.base)
        document = {**document, "value": await self._whole(document, access_token)}
        stated = document.get("nextSeconds")
        return Pull(document, answer.headers.get("etag", ""), stated if isinstance(stated, int) else None)

    async def _whole(self, first: Mapping[str, Any], access_token: str) -> list[Any]:
        """The items of all pages: an answer above 100 KB comes in several (``docs/wire.md`` section 4.4)."""
        items, link = list(first["value"]), first.get("nextLink")
        for _ in range(_PAGES):
            if not isinstance(link, str):
                return items
            if not link.startswith(f"{self.base}/"):
                break
            answer = await self._transport.send(
                "GET", link, headers=_bearer(access_token), read_timeout=READ_TIMEOUT
            )
            page = document_of(answer)
            value = page.get("value")
            items += value if isinstance(value, list) else []
            link = page.get("nextLink")
        raise CloudError(200, "InvalidAnswer", "the pages of the answer have no end", url=self.base)

    async def report(self, access_token: str, report: Mapping[str, Any]) -> dict[str, Any]:
        """Hand in the report of one evaluation; the same report twice is fine."""
        name, report_id = quote(str(report["assignmentName"]), safe=""), report["jobId"]
        answer = await self._send(
            "PUT", f"assignments/{name}/reports/{report_id}", _bearer(access_token), body=report
        )
        return document_of(answer)

    async def operation(
        self, access_token: str, name: str, operation_id: str, report: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Hand in progress or result of an operation on an extension."""
        path = f"extensions/{quote(name, safe='')}/operations/{quote(operation_id, safe='')}"
        return document_of(await self._send("PUT", path, _bearer(access_token), body=report))

    async def extension_status(
        self, access_token: str, name: str, report: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Hand in how an installed extension is."""
        path = f"extensions/{quote(name, safe='')}/status"
        return document_of(await self._send("PUT", path, _bearer(access_token), body=report))

    async def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: object | None = None
    ) -> httpx.Response:
        return await self._transport.send(
            method,
            f"{self.base}/{path}",
            params={"api-version": CONTRACT},
            headers=headers,
            body=body,
            read_timeout=READ_TIMEOUT,
        )


def _bearer(access_token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {access_token}"}


class GasDirectory:
    """Which regional service is this machine's: the global one says.

    The answer is kept for a day, and dropped after three failed connections in a row.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._failures = 0

    async def regional(self, transport: Transport, directory: Directory, cloud: str, location: str) -> str:
        """The URL of the regional service, without a slash at the end.

        Raises:
            UnreachableError, CloudError: the global service does not say.
            AgentError: 23 or 26, see `arcbed_agent.cloud.endpoints.resolve`.
        """
        key = (cloud, location)
        if key in self._known:
            base, until = self._known[key]
            if self._clock.now() < until:
                return base
        entry = (await directory.endpoints(cloud)).gas
        answer = await transport.send(
            "GET",
            f"{entry}/discovery",
            params={"location": location, "api-version": CONTRACT},
            read_timeout=READ_TIMEOUT,
        )
        base = str(document_of(answer).get("endpoint", "")).rstrip("/")
        if urlsplit(base).scheme != "https":
            raise CloudError(200, "InvalidAnswer", "discovery names no https address", url=entry)
        self._known[key] = (base, self._clock.now() + _TTL)
        return base

    def drop(self) -> None:
        """Ask again next time."""
        self._known.clear()
        self._failures = 0

    def reached(self) -> None:
        """The regional service answered."""
        self._failures = 0

    def failed(self, error: UnreachableError | CloudError) -> None:
        """The regional service did not answer, or sent the agent away."""
        self._failures += 1
        if self._failures >= _FAILURES or (isinstance(error, CloudError) and error.status == 421):
            self.drop()
