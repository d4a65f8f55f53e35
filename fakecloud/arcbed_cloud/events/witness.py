"""Sees every request to the control plane: holds time while one is served, and logs it. Plain ASGI."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from arcbed_cloud.clock import Keeper
from arcbed_cloud.clock.remote import Placeholder
from arcbed_cloud.dispatch import App, Receive, Scope, Send
from arcbed_cloud.events.log import EventLog
from arcbed_cloud.events.masks import Digest
from arcbed_cloud.events.routes import template

READS = frozenset({"GET", "HEAD", "OPTIONS"})
OUTSIDE = "outside"
OWN = "/_fakecloud"
REQUEST = "request "

OperationOf = Callable[[str, str, str], str]


class Witness:
    """Stands in front of the services of a stepped bed.

    What runs on the bed's clock is logged with the tasks that were running. Of programs outside, only writes
    are: how often one polls is a matter of real time.

    Args:
        app: the services.
        clock: of the bed.
        log: where to write.
        operation_of: the swagger operation id of an ARM call by method, path and api-version, else empty.
    """

    def __init__(self, app: App, clock: Keeper, log: EventLog, operation_of: OperationOf) -> None:
        self._app = app
        self._clock = clock
        self._log = log
        self._operation_of = operation_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(OWN):
            await self._app(scope, receive, send)
            return
        task = self._asker(scope)
        hold = Placeholder(f"{REQUEST}{scope['method']} {scope['path']}")
        self._clock.hold(hold)
        try:
            if task == OUTSIDE and scope["method"] in READS:
                await self._app(scope, receive, send)
            else:
                await self._logged(task, scope, receive, send)
        finally:
            self._clock.release(hold)

    def _asker(self, scope: Scope) -> str:
        """The running task that asks; an agent says in ``x-arc-agent`` which of its programs it is."""
        running = [name for name in self._clock.running if not name.startswith(REQUEST)]
        component = next((value for name, value in scope["headers"] if name == b"x-arc-agent"), b"")
        daemon = component.partition(b"/")[0].decode("latin-1")
        own = [name for name in running if f"/{daemon}/" in name] if daemon else []
        return "+".join(own or running) or OUTSIDE

    async def _logged(self, task: str, scope: Scope, receive: Receive, send: Send) -> None:
        asked, told = _digest(scope["headers"]), Digest()
        status = 0

        async def heard() -> MutableMapping[str, Any]:
            message = await receive()
            asked.add(message.get("body", b""))
            return message

        async def said(message: MutableMapping[str, Any]) -> None:
            nonlocal status, told
            if message["type"] == "http.response.start":
                status, told = message["status"], _digest(message.get("headers", ()))
            else:
                told.add(message.get("body", b""))
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self._write(task, scope, status, asked.text(), told.text())
            await send(message)

        await self._app(scope, heard, said)

    def _write(self, task: str, scope: Scope, status: int, asked: str, told: str) -> None:
        version = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("api-version", [""])[0]
        note = self._log.read if scope["method"] in READS else self._log.write
        note(
            task=task,
            method=scope["method"],
            operation=self._operation_of(scope["method"], scope["path"], version),
            route=template(scope["path"]),
            status=status,
            request=asked,
            response=told,
        )


def _digest(headers: Iterable[tuple[bytes, bytes]]) -> Digest:
    known = {name.lower(): value.decode("latin-1").lower() for name, value in headers}
    return Digest(known.get(b"content-type", ""), known.get(b"content-encoding", ""))
