"""One HTTP client for all that the agent asks of the cloud: trust, proxies, headers, and errors as data.

Headers and the error body: ``docs/wire.md``, "Common elements".
"""

from __future__ import annotations

import email.utils
import json
import os
import platform
import random
import ssl
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import httpx

from arcbed_agent import AGENT_VERSION
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError

#: Hosts behind the keywords of `proxy.bypass`. Source: Microsoft's article "Managing the Azure Connected
#: Machine agent".
BYPASS_HOSTS: Mapping[str, tuple[str, ...]] = {
    "aad": (
        "login.windows.net",
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.chinacloudapi.cn",
        "pas.windows.net",
    ),
    "arm": ("management.azure.com", "management.usgovcloudapi.net", "management.chinacloudapi.cn"),
    "arc": (
        "*his.arc.azure.com",
        "*his.arc.azure.us",
        "*his.arc.azure.cn",
        "*guestconfiguration.azure.com",
        "*guestconfiguration.azure.us",
        "*guestconfiguration.azure.cn",
    ),
}
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
        headers = {"x-arc-agent": f"{component}/{AGENT_VERSION} ({system}; {machine})"}
        if instance:
            headers["x-arc-instance"] = instance
        settings: dict[str, Any] = {"transport": inner}
        if inner is None:
            context = trust(config)
            settings = {"mounts": _routes(config, context), "verify": context}
        self._client = httpx.AsyncClient(headers=headers, timeout=TIMEOUT, trust_env=False, **settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop all connections."""
        await self._client.aclose()

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
        sent = {"x-ms-client-request-id": new_guid(self._chance), **(headers or {})}
        if correlation_id:
            sent["x-ms-correlation-request-id"] = correlation_id
        if body is not None:
            content = json.dumps(body, separators=(",", ":")).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        timeout = TIMEOUT if read_timeout is None else httpx.Timeout(read_timeout, connect=10.0)
        try:
            answer = await self._client.request(
                method, url, params=params, headers=sent, content=content, data=form, timeout=timeout
            )
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise UnreachableError(_bare(url), _reason(error)) from error
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
        sent = {"x-ms-client-request-id": new_guid(self._chance), **(headers or {})}
        request = self._client.build_request(method, url, headers=sent)
        try:
            answer = await self._client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError) as error:
            raise UnreachableError(_bare(url), _reason(error)) from error
        try:
            if answer.status_code >= 400:
                await answer.aread()
                raise refusal(answer)
            yield answer
        finally:
            await answer.aclose()


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


def trust(config: LocalConfig) -> ssl.SSLContext:
    """Whom to believe: `tls.caBundle`, else the authorities of the system or of ``SSL_CERT_FILE``.

    Raises:
        AgentError: 23, the bundle cannot be read.
    """
    bundle = config.text("tls.caBundle")
    try:
        context = ssl.create_default_context(cafile=bundle or None)
    except (OSError, ssl.SSLError) as error:
        raise AgentError(23, f"config property tls.caBundle: cannot use {bundle}: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def proxy_in_effect(config: LocalConfig, environ: Mapping[str, str] | None = None) -> str:
    """The proxy for https: `proxy.url`, else ``HTTPS_PROXY`` of the service's environment, else empty."""
    configured = config.text("proxy.url")
    if not configured:
        found = os.environ if environ is None else environ
        configured = found.get("https_proxy") or found.get("HTTPS_PROXY") or ""
    return configured if not configured or "://" in configured else f"http://{configured}"


def _routes(config: LocalConfig, context: ssl.SSLContext) -> dict[str, httpx.AsyncBaseTransport]:
    """Which hosts go through the proxy; empty when there is none."""
    proxy = proxy_in_effect(config)
    if not proxy:
        return {}
    direct = httpx.AsyncHTTPTransport(verify=context)
    hosts = [host for word in config.items("proxy.bypass") for host in BYPASS_HOSTS.get(word.lower(), ())]
    if not config.text("proxy.url"):
        listed = getproxies_environment().get("no", "")
        hosts += [f"*{host.strip().lstrip('*')}" for host in listed.split(",") if host.strip()]
    routes: dict[str, httpx.AsyncBaseTransport] = {f"all://{host}": direct for host in hosts}
    routes["https://"] = httpx.AsyncHTTPTransport(verify=context, proxy=proxy)
    return routes


def _bare(url: str | httpx.URL) -> str:
    return str(url).partition("?")[0]


def _reason(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None and not str(cause):
        cause = cause.__cause__ or cause.__context__
    return str(cause) if cause is not None else type(error).__name__
