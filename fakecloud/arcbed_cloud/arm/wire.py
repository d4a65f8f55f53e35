"""Between ASGI and ARM: what is read of a request's scope, and the headers that every answer carries."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import _lru_cache_wrapper, lru_cache
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote, unquote_plus

from arcbed_cloud.arm.errors import ArmError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 4 * 1024 * 1024
MAX_HEADER = 256
MAX_REMEMBERED = 1_024
_SAFE = re.compile(rf"[\x20-\x7e]{{1,{MAX_HEADER}}}")

STEADY = [
    (b"cache-control", b"no-cache"),
    (b"pragma", b"no-cache"),
    (b"expires", b"-1"),
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-cache", b"CONFIG_NOCACHE"),
]
JSON = (b"content-type", b"application/json; charset=utf-8")


class ClientGone(Exception):  # noqa: N818 - not an error of ours
    """The client closed the connection before its body had arrived."""


@dataclass(slots=True)
class Call:
    """A request as it came in, before anything is known about it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: dict[str, str]
    base_url: str
    client_ip: str
    request_id: str
    correlation_id: str


def read(scope: Scope, request_id: str) -> Call:
    """Take a scope apart; of repeated headers the first counts. ASGI has their names in lower case."""
    headers = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(list(scope["headers"]))
    }
    root = scope.get("root_path", "")
    client = scope.get("client") or ("127.0.0.1", 0)
    wanted = headers.get("x-ms-correlation-request-id")
    server = scope.get("server") or ("localhost", None)
    return Call(
        scope["method"],
        _short(_path, scope.get("raw_path") or scope["path"], root),
        _short(_query, scope.get("query_string", b"")),
        headers,
        _base_url(scope.get("scheme", "https"), headers.get("host", ""), server[0], server[1], root),
        client[0],
        request_id,
        wanted if wanted is not None and _SAFE.fullmatch(wanted) else request_id,
    )


# What follows depends on little that varies between the calls of a client, and is remembered.

_Answer = TypeVar("_Answer")


def _short(cached: _lru_cache_wrapper[_Answer], text: bytes | str, *more: str) -> _Answer:
    """Call, but keep long texts out of the cache: its memory is bounded by their number only."""
    return cached(text, *more) if len(text) <= MAX_REMEMBERED else cached.__wrapped__(text, *more)


@lru_cache(maxsize=8_192)
def _path(path: bytes | str, root: str) -> str:
    """The percent-encoded path without the prefix that the service is mounted at."""
    path = path.decode("latin-1") if isinstance(path, bytes) else quote(path, safe="/%:@!$&'()*+,;=-._~")
    if root and path.startswith(root):
        path = path[len(root) :]
    return path or "/"


@lru_cache(maxsize=2_048)
def _query(text: bytes) -> Mapping[str, str]:
    """Names in lower case; of repeated parameters the first counts."""
    found: dict[str, str] = {}
    for part in text.decode("latin-1").split("&"):
        if part:
            name, _, value = part.partition("=")
            found.setdefault(unquote_plus(name).lower(), unquote_plus(value))
    return MappingProxyType(found)


@lru_cache(maxsize=256)
def _base_url(scheme: str, host: str, address: str, port: int | None, root: str) -> str:
    """The client's own spelling of this server, or where it listens if the ``Host`` header is unusable."""
    if _SAFE.fullmatch(host) is None or any(mark in host for mark in "/\\ \"'<>"):
        host = f"{address}:{port}" if port else address
    return f"{scheme}://{host}{root}"


async def body(call: Call, receive: Receive) -> bytes:
    """The whole body.

    Raises:
        ArmError: 413 RequestEntityTooLarge above 4 MB, 415 UnsupportedMediaType for anything but JSON.
        ClientGone: the client has left.
    """
    length = call.headers.get("content-length", "")
    if length.isdecimal() and int(length) > MAX_BODY:
        raise _too_large()
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > MAX_BODY:
            raise _too_large()
        chunks.append(chunk)
        more = message.get("more_body", False)
    content = b"".join(chunks)
    media = call.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if content and media != "application/json" and not media.endswith("+json"):
        raise ArmError(
            415,
            "UnsupportedMediaType",
            f"The content media type '{media}' is not supported. Only 'application/json' is supported.",
        )
    return content


def _too_large() -> ArmError:
    return ArmError(
        413,
        "RequestEntityTooLarge",
        f"The request content size exceeds the maximum size of '{MAX_BODY // 1024 // 1024} MB'.",
    )


def own_headers(call: Call, routing: str) -> list[tuple[bytes, bytes]]:
    """The ids of a call; ``x-ms-client-request-id`` comes back as it was sent."""
    headers = [
        *STEADY,
        (b"x-ms-request-id", call.request_id.encode()),
        (b"x-ms-correlation-request-id", call.correlation_id.encode("latin-1")),
        (b"x-ms-routing-request-id", f"{routing}:{call.correlation_id}".encode("latin-1")),
    ]
    mine = call.headers.get("x-ms-client-request-id")
    if mine and _SAFE.fullmatch(mine):
        headers.append((b"x-ms-client-request-id", mine.encode("latin-1")))
    return headers


def encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """A handler's headers as ASGI wants them."""
    return [(name.lower().encode("latin-1"), value.encode("utf-8")) for name, value in headers]


async def respond(send: Send, status: int, headers: list[tuple[bytes, bytes]], content: bytes) -> None:
    """Send one answer; ``Content-Length: 0`` where there is no body, but not on a 204."""
    if status != 204:
        headers.append((b"content-length", b"%d" % len(content)))
    if content:
        headers.append(JSON)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
