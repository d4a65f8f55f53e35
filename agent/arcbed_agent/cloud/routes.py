"""The ways to the cloud: directly, or through a proxy; and whom to believe there."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import httpcore
import httpx

from arcbed_agent.cloud.proxies import bypassed, matches, proxy_in_effect
from arcbed_agent.cloud.streams import Connections
from arcbed_agent.config import LocalConfig
from arcbed_agent.errors import AgentError

_FAILURES: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
)
#: Connections at once, those that are kept, and for how many real seconds: as httpx has them.
_CONNECTIONS: Final = 100
_KEPT: Final = 20
_KEPT_SECONDS: Final = 5.0


class Way(httpx.AsyncBaseTransport):
    """Connections over one way, which are kept open for the next request.

    Args:
        context: whom to believe; None asks the operating system.
        proxy: its URL; empty for none.
    """

    def __init__(self, context: ssl.SSLContext | None = None, proxy: str = "") -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            proxy=_proxy(proxy) if proxy else None,
            network_backend=Connections(),
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_KEPT,
            keepalive_expiry=_KEPT_SECONDS,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; answers when the head of the answer is there.

        Raises:
            httpx.TransportError: of a kind that says what has failed.
        """
        url = request.url
        asked = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _failures():
            answer = await self._pool.handle_async_request(asked)
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer.stream), extensions=answer.extensions
        )

    async def aclose(self) -> None:
        """Drop all connections."""
        await self._pool.aclose()


class Routes(httpx.AsyncBaseTransport):
    """The network, as the local configuration and the environment say.

    Args:
        config: `proxy.url`, `proxy.bypass`.
        context: whom to believe.
    """

    def __init__(self, config: LocalConfig, context: ssl.SSLContext) -> None:
        proxy = proxy_in_effect(config)
        self._direct = Way(context)
        self._through = Way(context, proxy) if proxy else None
        self._bypassed = tuple(bypassed(config)) if proxy else ()

    def proxied(self, url: httpx.URL) -> bool:
        """Whether the way to `url` is through the proxy."""
        return self._way(url) is self._through

    def _way(self, url: httpx.URL) -> Way:
        if self._through is None or url.scheme != "https":
            return self._direct
        names = (url.host, f"{url.host}:{url.port or 443}")
        past = any(matches(name, pattern) for name in names for pattern in self._bypassed)
        return self._direct if past else self._through

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`; see `Way`."""
        return await self._way(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        """Drop all connections."""
        await self._direct.aclose()
        if self._through is not None:
            await self._through.aclose()


async def answered(way: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
    """The whole answer to `request`. Not through httpx's client, which would cost as much as all the rest.

    What that adds, cookies, redirects and credentials of the environment, is what an agent has no use for.

    Raises:
        httpx.TransportError: there is none.
    """
    answer = await way.handle_async_request(request)
    answer.request = request
    try:
        await answer.aread()
    finally:
        await answer.aclose()
    return answer


class _Body(httpx.AsyncByteStream):
    """The body of an answer."""

    def __init__(self, stream: object) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._stream, AsyncIterable)  # noqa: S101 - of an asynchronous pool
        with _failures():
            async for part in self._stream:
                yield part

    async def aclose(self) -> None:
        await self._stream.aclose()  # type: ignore[attr-defined]  # of an asynchronous pool


@contextmanager
def _failures() -> Iterator[None]:
    """Failures of httpcore as httpx has them, by the same names."""
    try:
        yield
    except _FAILURES as error:
        raise getattr(httpx, type(error).__name__)(str(error)) from error


def _proxy(url: str) -> httpcore.Proxy:
    read = httpx.Proxy(url)
    where = httpcore.URL(
        scheme=read.url.raw_scheme, host=read.url.raw_host, port=read.url.port, target=read.url.raw_path
    )
    return httpcore.Proxy(where, auth=read.raw_auth, headers=read.headers.raw)


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
