"""Which service a request is for: by Azure's host name, or by path where there is no DNS for it.

On loopback and other local names, ``/arm``, ``/login``, ``/his`` and so on stand for the hosts; paths of
Entra's shape go to the authority, and everything else is ARM's. Plain ASGI.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from ipaddress import ip_address
from typing import Any

import orjson
import structlog

from arcbed_cloud import hosts

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 8 * 1024 * 1024
_REMEMBERED_HOSTS = 1_024
_TOO_LARGE = f"The request body is larger than {MAX_BODY} bytes."
OWN = "/_fakecloud"
_AUTHORITY = re.compile(
    r"/(?:devicelogin|(?!subscriptions/|providers/)[^/]+/"
    r"(?:oauth2/|discovery/|(?:v2\.0/)?\.well-known/openid-configuration))"
)
_PREFIX = re.compile(r"/(" + "|".join(hosts.PREFIXES) + r")(/.*)?", re.DOTALL)

_log = structlog.get_logger(__name__)


class Dispatcher:
    """The public listener's application.

    Args:
        services: applications by service name (see `hosts.SERVICES`); what is missing is answered with 404.
        own: answers below ``/_fakecloud``, before anything else.
        served: host names besides Azure's and loopback that clients may use; anything else is 421, so that a
            page on another site cannot reach the listener through a name of its own.
    """

    def __init__(self, services: Mapping[str, App], own: App, served: frozenset[str]) -> None:
        self._services = dict(services)
        self._own = own
        self._served = frozenset(name.lower() for name in served)
        self._hosts: dict[bytes, str | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or refuse one WebSocket."""
        if scope["type"] != "http":
            await self._socket(scope, receive, send)
            return
        guard = _Guard(receive, send)
        try:
            await self._route(scope, guard)
        except Exception:  # noqa: BLE001 - the last line of defence: logged, answered with 500
            _log.exception("request_failed", method=scope["method"], path=scope["path"])
            await guard.answer(500, "InternalServerError", "The server met an error that it did not expect.")

    async def _route(self, scope: Scope, guard: _Guard) -> None:
        path: str = scope["path"]
        if path == OWN or path.startswith(OWN + "/"):
            await self._own(scope, guard.receive, guard.send)
            return
        host, length = _host_and_length(scope)
        service = self._service(host)
        if service is None:
            text = f"The host '{host.decode('latin-1')}' is not served here."
            await guard.answer(421, "MisdirectedRequest", text)
            return
        service = service or _by_path(scope)
        if length > MAX_BODY:
            await guard.answer(413, "RequestEntityTooLarge", _TOO_LARGE)
            return
        app = self._services.get(service)
        if app is None:
            text = f"The service '{service}' of '{host.decode('latin-1')}' has nothing at '{path}'."
            await guard.answer(404, "NotFound", text)
            return
        await app(scope, guard.receive, guard.send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Only the relay speaks WebSocket."""
        if scope["type"] == "websocket":
            service = self._service(_host_and_length(scope)[0])
            relay = self._services.get("relay")
            if relay is not None and "relay" in {service, _by_path(scope) if service == "" else service}:
                await relay(scope, receive, send)
                return
        await _refuse_socket(scope, receive, send)

    def _service(self, host: bytes) -> str | None:
        """The service that a ``Host`` header names, empty where the path decides, None for a stranger."""
        try:
            return self._hosts[host]
        except KeyError:
            text = host.decode("latin-1")
            service = hosts.service_of(text) or ("" if self._is_local(text) else None)
            if len(self._hosts) >= _REMEMBERED_HOSTS:
                self._hosts.clear()
            self._hosts[host] = service
            return service

    def _is_local(self, host: str) -> bool:
        name = hosts.bare(host)
        if not name or name in self._served or hosts.is_loopback(name):
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True


class _Guard:
    """Keeps one exchange within bounds: a body without a declared length may not outgrow the cap."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._size = 0
        self._started = False
        self._closed = False

    async def receive(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._size > MAX_BODY and not self._closed:
            await self.answer(413, "RequestEntityTooLarge", _TOO_LARGE)
            self._closed = True
            return {"type": "http.disconnect"}
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if self._closed:
            return
        self._started = True
        await self._send(message)

    async def answer(self, status: int, code: str, text: str) -> None:
        """An error in Azure's shape, unless an answer is under way."""
        if self._started or self._closed:
            return
        self._started = True
        body = orjson.dumps({"error": {"code": code, "message": text}})
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _by_path(scope: Scope) -> str:
    """The service that a path names on a local host; a prefix moves from the path to the root path."""
    path: str = scope["path"]
    if found := _PREFIX.fullmatch(path):
        prefix = f"/{found[1]}"
        scope["root_path"] = scope.get("root_path", "") + prefix
        scope["path"] = found[2] or "/"
        raw: bytes | None = scope.get("raw_path")
        if raw is not None:
            scope["raw_path"] = raw[len(prefix) :] or b"/"
        return found[1]
    return "login" if _AUTHORITY.match(path) else "arm"


def _host_and_length(scope: Scope) -> tuple[bytes, int]:
    """The first ``Host`` and the first ``Content-Length``; empty and 0 where there is none that counts."""
    host = length = None
    for name, value in scope["headers"]:
        if name == b"host":
            host = value if host is None else host
        elif name == b"content-length":
            length = value if length is None else length
    return host or b"", int(length) if length is not None and length.isdigit() else 0


async def _refuse_socket(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
