"""The relay's WebSockets and its HTTP senders. Plain ASGI: what it serves has no routes, but paths of names.

Source: Microsoft's article "Azure Relay Hybrid Connections protocol".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

import orjson
import structlog

from arcbed_cloud.services.relay.connections import EXPIRED, Answer, Asked, Exchange, Relay
from arcbed_cloud.services.relay.errors import RelayError, no_path

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: A token may be good for days, and the event loop's timers are not made for longer ones.
LONGEST = 7 * 86_400.0
_MARK = "/$hc/"
_TOKEN = "sb-hc-token"
_HEADER = b"servicebusauthorization"
#: Of one connection, and not of the request.
_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "content-length"}
)

_log = structlog.get_logger(__name__)


def relay_app(relay: Relay) -> App:
    """The service as an ASGI app, for WebSockets and for HTTP."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await _socket(relay, scope, receive, send)
        elif scope["type"] == "http":
            await _sender(relay, scope, receive, send)

    return app


# -- WebSockets ----------------------------------------------------------------------------------------------


async def _socket(relay: Relay, scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
    path = str(scope["path"])
    action, name = query.get("sb-hc-action", ""), path.removeprefix(_MARK).strip("/").lower()
    try:
        if not path.startswith(_MARK) or action not in {"listen", "request"}:
            raise no_path(path)
        if action == "listen":
            left = relay.admit(_token(scope, query), name, "Listen")
            await _listen(relay, name, left, _Channel(_base(scope), receive, send))
            return
        exchange = relay.exchange(name, query.get("sb-hc-id", ""))
        if exchange is None:
            raise no_path(path)
        await _meet(relay, name, query["sb-hc-id"], exchange, _Channel(_base(scope), receive, send))
    except RelayError as error:
        _log.info("relay_refused", path=path, action=action, status=error.status)
        await _deny(send, error)


class _Channel:
    """One accepted WebSocket. A message and its body go out together."""

    def __init__(self, base: str, receive: Receive, send: Send) -> None:
        self.base = base
        self._receive = receive
        self._send = send
        self._sending = asyncio.Lock()

    async def accept(self) -> None:
        await self._send({"type": "websocket.accept"})

    async def say(self, document: Mapping[str, Any], body: bytes = b"") -> None:
        async with self._sending:
            await self._send({"type": "websocket.send", "text": orjson.dumps(document).decode()})
            if body:
                await self._send({"type": "websocket.send", "bytes": body})

    async def close(self, code: int, reason: str) -> None:
        # It may be gone by now.
        with suppress(OSError, RuntimeError):
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def hear(self) -> Mapping[str, Any] | bytes | None:
        """The next message: a text as JSON, {} if it is none; None at the end."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return None
        if message.get("text") is None:
            return bytes(message.get("bytes") or b"")
        try:
            document = orjson.loads(message["text"])
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


async def _listen(relay: Relay, path: str, left: float, channel: _Channel) -> None:
    """Serve a control channel until it ends, or its token does."""
    await channel.accept()
    await relay.attach(path, channel)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(min(left, LONGEST)) as lease:

            def renew(token: str) -> None:
                lease.reschedule(loop.time() + min(relay.admit(token, path, "Listen"), LONGEST))

            await _hear_all(relay, path, channel, renew)
    except TimeoutError:
        await channel.close(EXPIRED, "The authorization token has expired.")
    except RelayError as error:
        await channel.close(EXPIRED, error.message)
    finally:
        relay.detach(path, channel)


async def _hear_all(relay: Relay, path: str, channel: _Channel, renew: Callable[[str], None]) -> None:
    response: Mapping[str, Any] | None = None
    while (heard := await channel.hear()) is not None:
        if isinstance(heard, bytes):
            if response is not None:
                relay.answered(path, response, heard)
            response = None
        elif isinstance(token := heard.get("renewToken"), dict):
            renew(str(token.get("token", "")))
        elif isinstance(said := heard.get("response"), dict):
            response = said if said.get("body") else None
            if response is None:
                relay.answered(path, said, b"")


async def _meet(relay: Relay, path: str, number: str, exchange: Exchange, channel: _Channel) -> None:
    """The listener has dialled a request's own address: to get it whole, or to answer at length."""
    await channel.accept()
    if exchange.announced:
        await channel.say(exchange.asked.frame("", number), exchange.asked.body)
    listener = asyncio.ensure_future(_hear_all(relay, path, channel, lambda _token: None))
    both: set[asyncio.Future[Any]] = {listener, exchange.answer}
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if not listener.done():
        await channel.close(1000, "")
    await listener


async def _deny(send: Send, error: RelayError) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": error.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": error.message.encode()})


# -- HTTP ----------------------------------------------------------------------------------------------------


async def _sender(relay: Relay, scope: Scope, receive: Receive, send: Send) -> None:
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    path = scope["path"].strip("/").partition("/")[0].lower()
    try:
        relay.admit(_token(scope, dict(query)), path, "Send")
        answer = await relay.request(path, await _asked(scope, receive))
    except RelayError as error:
        text = {"content-type": "text/plain; charset=utf-8"}
        answer = Answer(error.status, "", text, error.message.encode())
    kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in kept.items()]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _asked(scope: Scope, receive: Receive) -> Asked:
    """The request as a listener sees it: without what the relay itself was told."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RelayError(400, "The sender has gone away.")
        body += message.get("body", b"")
        more = message.get("more_body", False)
    pairs = scope["query_string"].decode("latin-1").split("&")
    query = "&".join(pair for pair in pairs if pair and not pair.startswith(f"{_TOKEN}="))
    stripped = {_HEADER} if any(name == _HEADER for name, _ in scope["headers"]) else {b"authorization"}
    stripped = set() if any(pair.startswith(f"{_TOKEN}=") for pair in pairs) else stripped
    headers = {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in scope["headers"]
        if name not in stripped | {_HEADER} and name.decode("latin-1") not in _HOP
    }
    target = scope["path"] + (f"?{query}" if query else "")
    return Asked(scope["method"], target, headers, bytes(body))


def _token(scope: Scope, query: Mapping[str, str]) -> str:
    """The token of a request: in its query or in a header."""
    if _TOKEN in query:
        return query[_TOKEN]
    found: dict[bytes, str] = {name: value.decode("latin-1") for name, value in scope["headers"]}
    return found.get(_HEADER) or found.get(b"authorization", "")


def _base(scope: Scope) -> str:
    """The namespace as this client reaches it."""
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    return f"{scope['scheme']}://{host}{scope.get('root_path', '')}"
