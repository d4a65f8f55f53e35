"""One HTTP client for all that the agent asks of the cloud: trust, proxies, headers, and errors as data.

Headers and the error body: ``docs/wire.md``, "Common elements".
"""

from __future__ import annotations

import email.utils
import json
import platform
import random
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from arcbed_agent import AGENT_VERSION
from arcbed_agent.cloud.routes import Routes, answered, trust
from arcbed_agent.config import LocalConfig

#: Seconds of real time.
TIMEOUT = httpx.Timeout(30.0, connect=10.0)


@dataclass(eq=False)
class CloudError(Exception):
    """The cloud answered, and the answer is a refusal.

    Args:
        status: HTTP status.
        code: `error.code` of the body (of Entra: `error`), or empty.
        message: its text, or the status phrase.
        target: `error.target`.
        retry_after: seconds, if the server named them.
        url: what was asked, without its query.
        document: the whole body, if it was a JSON object.
    """

    status: int
    code: str
    message: str
    target: str = ""
    retry_after: float | None = None
    url: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Who refused."""
        return urlsplit(self.url).netloc

    def __str__(self) -> str:
        return f"{self.url} answered {self.status} {self.code}: {self.message}"


@dataclass(eq=False)
class UnreachableError(Exception):
    """The cloud did not answer: name resolution, connection, TLS or time-out."""

    url: str
    reason: str

    @property
    def host(self) -> str:
        """Who did not answer."""
        return urlsplit(self.url).netloc

    def __str__(self) -> str:
        return f"{self.url}: {self.reason}"


def new_guid(chance: random.Random) -> str:
    """A lower-case version 4 GUID from `chance`."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


class Transport:
    """Keeps connections open; TLS verification is never off.

    Args:
        config: `proxy.url`, `proxy.bypass`, `tls.caBundle`.
        component: ``azcmagent`` or ``himds``, for ``x-arc-agent``.
        instance: GUID of this daemon start, for ``x-arc-instance``; empty leaves the header out.
        chance: source of request ids.
        inner: replaces the network (tests, in-process beds).

    Raises:
        AgentError: 23, `tls.caBundle` cannot be used.
    """

    def __init__(
        self,
        config: LocalConfig,
        *,
        component: str = "azcmagent",
        instance: str = "",
        chance: random.Random | None = None,
        inner: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._chance = chance or random.SystemRandom()
        system, machine = platform.system().lower(), platform.machine()
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "gzip, deflate",
            "User-Agent": f"python-httpx/{httpx.__version__}",
            "x-arc-agent": f"{component}/{AGENT_VERSION} ({system}; {machine})",
        }
        if instance:
            headers["x-arc-instance"] = instance
        self._headers = headers
        self._way = inner or Routes(config, trust(config))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop all connections."""
        await self._way.aclose()

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: object | None = None,
        content: bytes | None = None,
        form: Mapping[str, str] | None = None,
        correlation_id: str = "",
        read_timeout: float | None = None,
    ) -> httpx.Response:
        """One attempt. `body` is sent as JSON, `content` as it is, `form` URL-encoded.

        Raises:
            UnreachableError: no answer.
            CloudError: an answer of 400 or more.
        """
        sent = dict(headers or {})
        if correlation_id:
            sent["x-ms-correlation-request-id"] = correlation_id
        if body is not None:
            content = json.dumps(body, separators=(",", ":")).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        timeout = TIMEOUT if read_timeout is None else httpx.Timeout(read_timeout, connect=10.0)
        with _reached(url):
            target = _target(url, tuple((params or {}).items()))
            request = self._request(method, target, sent, timeout, content=content, data=form)
            answer = await answered(self._way, request)
        if answer.status_code >= 400:
            raise refusal(answer)
        return answer

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """One attempt whose answer is read piece by piece in the block; redirects are not followed.

        Raises:
            UnreachableError: no answer.
            CloudError: an answer of 400 or more.
        """
        with _reached(url):
            request = self._request(method, _target(url), headers or {}, TIMEOUT)
            answer = await self._way.handle_async_request(request)
        answer.request = request
        try:
            if answer.status_code >= 400:
                await answer.aread()
                raise refusal(answer)
            yield answer
        finally:
            await answer.aclose()

    def _request(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], timeout: httpx.Timeout, **more: Any
    ) -> httpx.Request:
        sent = {**self._headers, "x-ms-client-request-id": new_guid(self._chance), **headers}
        return httpx.Request(method, url, headers=sent, extensions={"timeout": timeout.as_dict()}, **more)


@lru_cache(maxsize=64)
def _target(url: str, query: tuple[tuple[str, str], ...] = ()) -> httpx.URL:
    """A daemon asks the same few addresses again and again."""
    return httpx.URL(url, params=query) if query else httpx.URL(url)


@contextmanager
def _reached(url: str) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
        raise UnreachableError(_bare(url), _reason(error)) from error


def document_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object in `answer`.

    Raises:
        CloudError: the body is something else.
    """
    try:
        document = answer.json() if answer.content else {}
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise CloudError(
            answer.status_code, "InvalidAnswer", "the answer is not a JSON object", url=_bare(answer.url)
        )
    return document


def refusal(answer: httpx.Response) -> CloudError:
    """`answer` as an error; ARM's shape, Entra's shape and anything else."""
    try:
        document = answer.json()
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    error = document.get("error", document)
    if isinstance(error, str):
        error = {"code": error, "message": document.get("error_description", "")}
    if not isinstance(error, dict):
        error = {}
    return CloudError(
        answer.status_code,
        str(error.get("code") or answer.headers.get("x-ms-error-code", "")),
        str(error.get("message") or answer.reason_phrase),
        str(error.get("target") or ""),
        retry_after(answer),
        _bare(answer.url),
        document,
    )


def retry_after(answer: httpx.Response) -> float | None:
    """Seconds of the ``Retry-After`` header; a date is measured against the answer's own ``Date``."""
    value = answer.headers.get("retry-after", "")
    if value.isdigit():
        return float(value)
    due, sent = email.utils.parsedate_tz(value), email.utils.parsedate_tz(answer.headers.get("date", ""))
    if due is None or sent is None:
        return None
    return float(max(0, email.utils.mktime_tz(due) - email.utils.mktime_tz(sent)))


def _bare(url: str | httpx.URL) -> str:
    return str(url).partition("?")[0]


def _reason(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None and not str(cause):
        cause = cause.__cause__ or cause.__context__
    return str(cause) if cause is not None else type(error).__name__
