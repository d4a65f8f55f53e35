"""Between ASGI and ARM: what is read of a request's scope, and the headers that every answer carries."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_plus

from arcbed_cloud.arm.errors import ArmError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY = 4 * 1024 * 1024
MAX_HEADER = 256
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
    query: dict[str, str]
    headers: dict[str, str]
    base_url: str
    client_ip: str
    request_id: str
    correlation_id: str


def read(scope: Scope, request_id: str) -> Call:
    """Take a scope apart; of repeated headers the first counts."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    root = scope.get("root_path", "")
    client = scope.get("client") or ("127.0.0.1", 0)
    wanted = headers.get("x-ms-correlation-request-id", "")
    return Call(
        method=scope["method"],
        path=_path(scope, root),
        query=_query(scope.get("query_string", b"")),
        headers=headers,
        base_url=_base_url(scope, headers, root),
        client_ip=client[0],
        request_id=request_id,
        correlation_id=wanted if _SAFE.fullmatch(wanted) else request_id,
    )


def _path(scope: Scope, root: str) -> str:
    """The percent-encoded path without the prefix that the service is mounted at."""
    raw = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else quote(scope["path"], safe="/%:@!$&'()*+,;=-._~")
    if root and path.startswith(root):
        path = path[len(root) :]
    return path or "/"


def _query(text: bytes) -> dict[str, str]:
    """Names in lower case; of repeated parameters the first counts."""
    found: dict[str, str] = {}
    for part in text.decode("latin-1").split("&"):
        if part:
            name, _, value = part.partition("=")
            found.setdefault(unquote_plus(name).lower(), unquote_plus(value))
    return found


def _base_url(scope: Scope, headers: dict[str, str], root: str) -> str:
    host = headers.get("host", "")
    if _SAFE.fullmatch(host) is None or any(mark in host for mark in "/\\ \"'<>"):
        server = scope.get("server") or ("localhost", None)
        host = f"{server[0]}:{server[1]}" if server[1] else str(server[0])
    return f"{scope.get('scheme', 'https')}://{host}{root}"


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
    mine = call.headers.get("x-ms-client-request-id", "")
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
