"""What every answer of the service passes: ids, the bed's time, and a limit on work at once. Plain ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from arcbed_cloud.plane import Plane
from arcbed_cloud.services.his.errors import HisError
from arcbed_cloud.services.his.service import bed_time

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

IN_FLIGHT = 256
ONBOARDING = 50
BUSY_SECONDS = "5"
_ECHOED = (b"x-ms-client-request-id", b"x-ms-correlation-request-id")

_log = structlog.get_logger(__name__)


class Gate:
    """Counts requests in flight and dresses answers.

    Args:
        app: the routes; they find the request's id in ``scope["state"]["request_id"]``.
        plane: for ids and the clock.
        name: of the service, for the log.
    """

    def __init__(self, app: App, plane: Plane, name: str = "his") -> None:
        self._app = app
        self._plane = plane
        self._name = name
        self._busy = 0
        self._onboarding = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a failure of the code behind is a 500 in the service's shape."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._plane.ids.request_guid(scope["method"])
        scope.setdefault("state", {})["request_id"] = request_id
        dress = _Dress(scope, send, request_id, bed_time(self._plane), self._name)
        onboarding = scope["path"].endswith("/identity")
        if self._busy >= IN_FLIGHT or (onboarding and self._onboarding >= ONBOARDING):
            busy = HisError(503, "ServerBusy", "Too many requests.", headers={"Retry-After": BUSY_SECONDS})
            await dress.error(busy)
            return
        self._busy += 1
        self._onboarding += onboarding
        try:
            await self._app(scope, receive, dress)
        except Exception:  # noqa: BLE001 - the last line of defence: logged, and answered as a 500
            _log.exception(f"{self._name}_failed", request_id=request_id, path=scope["path"])
            if not dress.started:
                await dress.error(HisError(500, "InternalError", "The service failed; see its log."))
        finally:
            self._busy -= 1
            self._onboarding -= onboarding


class _Dress:
    """Sends, adding the headers of section 4.1 of the contract."""

    def __init__(self, scope: Scope, send: Send, request_id: str, now: str, name: str) -> None:
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self._now = now
        self._name = name
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = message["headers"] = list(message.get("headers", ()))
            headers.append((b"x-ms-request-id", self._request_id.encode()))
            headers.append((b"x-sim-now", self._now.encode()))
            headers += [pair for pair in self._scope["headers"] if pair[0] in _ECHOED]
            if message["status"] >= 400:
                path = self._scope["path"]
                status = message["status"]
                _log.info(f"{self._name}_refused", request_id=self._request_id, status=status, path=path)
        await self._send(message)

    async def error(self, error: HisError) -> None:
        """Answer without the app."""
        body = error.body(self._request_id)
        headers = {"content-type": "application/json", "x-ms-error-code": error.code, **error.headers}
        pairs = [(name.lower().encode(), text.encode()) for name, text in headers.items()]
        pairs.append((b"content-length", str(len(body)).encode()))
        await self({"type": "http.response.start", "status": error.status, "headers": pairs})
        await self({"type": "http.response.body", "body": body})
