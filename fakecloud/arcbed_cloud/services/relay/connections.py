"""Hybrid connections and who listens on them. No HTTP.

Source: Microsoft's article "Azure Relay Hybrid Connections protocol"; ``docs/wire.md``, section 13. Waits are
real ones: who listens may be a program that cannot see the bed's clock.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from arcbed_cloud.services.relay import sas
from arcbed_cloud.services.relay.errors import forbidden, no_answer, no_listener, no_path, unauthorised

Right = Literal["Listen", "Send"]
#: The rule of a hybrid connection that has each right.
RULES: Final[Mapping[str, Right]] = {"listener": "Listen", "sender": "Send"}
#: Real seconds for a listener's answer.
PATIENCE: Final = 60.0
#: Documented: larger bodies and headers take a WebSocket of their own.
BODY_LIMIT: Final = 64 * 1024
HEADER_LIMIT: Final = 32 * 1024
GONE, EXPIRED = 1001, 1008


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a sender; `target` is path and query."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def large(self) -> bool:
        """Whether it does not fit on the control channel."""
        size = sum(len(name) + len(value) for name, value in self.headers.items())
        return len(self.body) > BODY_LIMIT or size > HEADER_LIMIT

    def frame(self, address: str, number: str) -> dict[str, Any]:
        """The ``request`` message."""
        request = {
            "address": address,
            "id": number,
            "requestTarget": self.target,
            "method": self.method,
            "requestHeaders": dict(self.headers),
            "body": bool(self.body),
        }
        return {"request": request}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the listener said."""

    status: int
    phrase: str
    headers: Mapping[str, str]
    body: bytes


class Ear(Protocol):
    """One listener's control channel."""

    base: str

    async def say(self, document: Mapping[str, Any], body: bytes = b"") -> None:
        """Send a message, and its body behind it."""

    async def close(self, code: int, reason: str) -> None:
        """End the connection."""


@dataclass(slots=True)
class Exchange:
    """A request under way."""

    path: str
    asked: Asked
    answer: asyncio.Future[Answer]
    announced: bool


class Relay:
    """All hybrid connections: one for each machine, named ``m-<vmId>``.

    Args:
        master: the secret that the keys of all rules come from.
        wall: real epoch seconds.
        exists: whether there is a hybrid connection of this name (lower case).
    """

    def __init__(self, master: str, wall: Callable[[], float], exists: Callable[[str], bool]) -> None:
        self._master = master
        self._wall = wall
        self._exists = exists
        self._ears: dict[str, Ear] = {}
        self._exchanges: dict[str, Exchange] = {}

    # -- tokens ----------------------------------------------------------------------------------------------

    def token(self, address: str, path: str, rule: str, seconds: int) -> tuple[str, int]:
        """A token for the hybrid connection `path` of the namespace `address`, and until when it is good."""
        expires = int(self._wall()) + seconds
        key = sas.key_of(self._master, path, rule)
        return sas.sign(key, f"http://{address}/{path}", rule, expires), expires

    def admit(self, token: str, path: str, right: Right) -> float:
        """Check a token; answers for how many seconds more it is good.

        Raises:
            RelayError: 401, 403 or 404.
        """
        try:
            claim = sas.read(token)
        except ValueError as error:
            raise unauthorised("The token is missing or malformed.") from error
        if not claim.signed_with(sas.key_of(self._master, path, claim.rule)):
            if claim.rule in RULES and self._exists(path):
                raise unauthorised("The signature of the token is not right.")
            raise no_path(path) if not self._exists(path) else unauthorised("The rule is unknown.")
        left = claim.expires - self._wall()
        if left <= 0:
            raise unauthorised("The token has expired.")
        if not self._exists(path):
            raise no_path(path)
        if RULES.get(claim.rule) != right or not claim.covers(path):
            raise forbidden(right)
        return left

    # -- listeners -------------------------------------------------------------------------------------------

    def listening(self, path: str) -> bool:
        """Whether somebody listens."""
        return path in self._ears

    async def attach(self, path: str, ear: Ear) -> None:
        """`ear` listens from now on; who did before is sent away."""
        before = self._ears.get(path)
        self._ears[path] = ear
        if before is not None:
            await before.close(GONE, "Another listener has taken over.")

    def detach(self, path: str, ear: Ear) -> None:
        """`ear` does not listen any more."""
        if self._ears.get(path) is ear:
            del self._ears[path]

    async def drop(self, path: str) -> None:
        """The hybrid connection is gone."""
        ear = self._ears.pop(path, None)
        if ear is not None:
            await ear.close(GONE, "The hybrid connection is gone.")

    # -- requests --------------------------------------------------------------------------------------------

    async def request(self, path: str, asked: Asked, *, patience: float = PATIENCE) -> Answer:
        """Send a request to who listens on `path`.

        Raises:
            RelayError: 502, nobody does; 504, there was no answer within `patience` real seconds.
        """
        ear = self._ears.get(path)
        if ear is None:
            raise no_listener()
        number = secrets.token_hex(16)
        exchange = Exchange(path, asked, asyncio.get_running_loop().create_future(), announced=asked.large)
        self._exchanges[number] = exchange
        address = f"{ear.base}/$hc/{path}?sb-hc-action=request&sb-hc-id={number}"
        try:
            if asked.large:
                await ear.say({"request": {"address": address, "id": number}})
            else:
                await ear.say(asked.frame(address, number), asked.body)
            async with asyncio.timeout(patience):
                return await exchange.answer
        except TimeoutError as error:
            raise no_answer() from error
        except OSError as error:
            raise no_listener() from error
        finally:
            self._exchanges.pop(number, None)

    def exchange(self, path: str, number: str) -> Exchange | None:
        """The request under way that a rendezvous address names."""
        found = self._exchanges.get(number)
        return found if found is not None and found.path == path else None

    def answered(self, path: str, response: Mapping[str, Any], body: bytes) -> None:
        """A ``response`` message has come in, with its body; what nobody waits for is ignored."""
        found = self.exchange(path, str(response.get("requestId", "")))
        if found is None or found.answer.done():
            return
        status = response.get("statusCode")
        status = int(status) if isinstance(status, int | str) and str(status).isdecimal() else 0
        # Documented: a listener may not use the two codes that are the relay's own.
        if not 200 <= status <= 599 or status in {502, 504}:
            status = 500
        headers = response.get("responseHeaders")
        pairs = headers.items() if isinstance(headers, dict) else ()
        named = {str(name): str(value) for name, value in pairs}
        found.answer.set_result(Answer(status, str(response.get("statusDescription") or ""), named, body))
