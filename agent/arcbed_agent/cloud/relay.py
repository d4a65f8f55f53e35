"""The listener's side of an Azure Relay hybrid connection.

Source: Microsoft's article "Azure Relay Hybrid Connections protocol". All waits are real ones.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from arcbed_agent.cloud.transport import CloudError, UnreachableError

#: Documented: what is above 64 kB does not come on the control channel. With its names there is room.
_MESSAGE: Final = 256 * 1024
_MISSES: Final = 3
_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """What a sender asks; `target` is path and query."""

    number: str
    method: str
    target: str
    body: bytes


#: Answers the HTTP status. What it does after that is its own affair.
Handler = Callable[[Request], Awaitable[int]]


class Listener:
    """One control channel. Open it with `dial`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._waiting: dict[str, Any] | None = None
        self._answers: set[asyncio.Task[None]] = set()

    @classmethod
    async def dial(
        cls,
        url: str,
        token: str,
        *,
        context: ssl.SSLContext,
        proxy: str | Literal[True] | None,
        ping_seconds: float,
        log: logging.Logger,
    ) -> Self:
        """Open a control channel.

        Args:
            url: of the hybrid connection, with ``sb-hc-action=listen``.
            token: with the right to listen.
            context: whom to believe.
            proxy: its URL; True for that of the environment, None for none.
            ping_seconds: between pings; the peer is dead when three in a row stay unanswered.
            log: for the library.

        Raises:
            UnreachableError: nobody answers.
            CloudError: the relay refuses.
        """
        bare = url.partition("?")[0]
        quiet = log.getChild("socket")
        quiet.setLevel(logging.WARNING)
        try:
            socket = await connect(
                url,
                additional_headers={"ServiceBusAuthorization": token},
                user_agent_header=None,
                compression=None,
                ssl=context,
                proxy=proxy,
                open_timeout=_TIMEOUT,
                close_timeout=1.0,
                ping_interval=ping_seconds,
                ping_timeout=_MISSES * ping_seconds,
                max_size=_MESSAGE,
                process_exception=lambda error: error,
                logger=quiet,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            text = (error.response.body or b"").decode(errors="replace")[:200]
            raise CloudError(status, "", text or error.response.reason_phrase, url=bare) from error
        except (OSError, TimeoutError, ssl.SSLError, WebSocketException) as error:
            raise UnreachableError(bare, str(error) or type(error).__name__) from error
        return cls(socket)

    async def close(self) -> None:
        """Listen no more."""
        for task in self._answers:
            task.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)
        with suppress(OSError, WebSocketException):
            await self._socket.close()

    async def renew(self, token: str) -> None:
        """Go on with a new token; the relay does not answer."""
        with suppress(ConnectionClosed):
            await self._socket.send(json.dumps({"renewToken": {"token": token}}))

    async def listen(self, handler: Handler) -> int:
        """Hand requests to `handler` until the channel is closed; answers the code, 1006 for none."""
        try:
            while True:
                request = self._take(await self._socket.recv())
                if request is not None:
                    task = asyncio.ensure_future(self._answer(request, handler))
                    self._answers.add(task)
                    task.add_done_callback(self._answers.discard)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else 1006

    def _take(self, message: str | bytes) -> Request | None:
        """A request that is complete with this message."""
        if isinstance(message, bytes):
            head, self._waiting = self._waiting, None
            return _request(head, message) if head is not None else None
        self._waiting = None
        try:
            head = json.loads(message).get("request")
        except (ValueError, AttributeError):
            return None
        # Without a method it is one that waits at its own address, which notifications are too small for.
        if not isinstance(head, dict) or "method" not in head:
            return None
        if head.get("body"):
            self._waiting = head
            return None
        return _request(head, b"")

    async def _answer(self, request: Request, handler: Handler) -> None:
        status = await handler(request)
        response = {
            "requestId": request.number,
            "statusCode": status,
            "statusDescription": "",
            "responseHeaders": {},
            "body": False,
        }
        with suppress(ConnectionClosed):
            await self._socket.send(json.dumps({"response": response}))


def _request(head: dict[str, Any], body: bytes) -> Request:
    return Request(
        str(head.get("id", "")), str(head.get("method", "")), str(head.get("requestTarget", "")), body
    )
