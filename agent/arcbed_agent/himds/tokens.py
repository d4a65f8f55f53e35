"""Access tokens of the machine's own identity. himds alone makes them.

Everybody else asks the local endpoint.
"""

from __future__ import annotations

import asyncio
import random
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.his import Credential
from arcbed_agent.cloud.transport import CloudError, UnreachableError, document_of, new_guid
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.identity import Identity
from arcbed_agent.himds.keys import ASSERTION_LIFE, MachineKey
from arcbed_agent.himds.uplink import Uplink

#: The audience of the agent's own services.
SERVICES: Final = "https://management.core.windows.net/"
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#: How much of its life a token is served from memory.
_FRESH: Final = 0.8
_KEPT: Final = 64


@dataclass(frozen=True, kw_only=True)
class Token:
    """An access token; times in real epoch seconds."""

    value: str
    resource: str
    not_before: int
    expires_on: int


@dataclass(frozen=True)
class _Assertion:
    """A client assertion, and until when it may be used."""

    text: str
    endpoint: str
    credential: Credential
    until_wall: float


@dataclass(frozen=True)
class _Entry:
    token: Token
    until_wall: float
    until_now: datetime


class MachineTokens:
    """Gets tokens by client assertion and keeps them for 80 % of their life, on whichever clock is first."""

    def __init__(self, uplink: Uplink, identity: Identity, clock: Clock, chance: random.Random) -> None:
        self._uplink = uplink
        self._identity = identity
        self._clock = clock
        self._chance = chance
        self._kept: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = asyncio.Lock()
        self._unheard: _Assertion | None = None
        self.requests = 0

    async def get(self, resource: str, *, bypass_cache: bool = False) -> Token:
        """A token whose audience is `resource`.

        Raises:
            AgentError: 107, this machine has no certificate.
            CloudError: Entra refuses.
            UnreachableError: Entra cannot be reached.
        """
        async with self._lock:
            entry = self._kept.get(resource)
            if entry and self._fresh(entry) and not bypass_cache:
                self._kept.move_to_end(resource)
                return entry.token
            self.requests += 1
            entry = await self._request(resource)
            self._kept[resource] = entry
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return entry.token

    def forget(self) -> None:
        """Drop all tokens."""
        self._kept.clear()

    def _fresh(self, entry: _Entry) -> bool:
        return self._clock.wall() < entry.until_wall and self._clock.now() < entry.until_now

    async def _request(self, resource: str) -> _Entry:
        key, credential = self._identity.key, self._identity.credential
        if key is None or credential is None:
            raise AgentError(107, "this machine has no certificate")
        endpoint = (
            f"{credential.authentication_endpoint.rstrip('/')}/{credential.tenant_id}/oauth2/v2.0/token"
        )
        if urlsplit(endpoint).scheme != "https":
            raise CloudError(0, "InvalidAnswer", "the authentication endpoint is not https", url=endpoint)
        wall, now = self._clock.wall(), self._clock.now()
        assertion = self._assertion(key, credential, endpoint, wall)
        form = {
            "grant_type": "client_credentials",
            "client_id": credential.client_id,
            "scope": f"{resource}/.default",
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": assertion.text,
        }
        self._unheard = None
        try:
            document = document_of(await self._uplink.transport.send("POST", endpoint, form=form))
        except UnreachableError:
            self._unheard = assertion
            raise
        token, life = _token(document, resource, wall, endpoint)
        return _Entry(token, wall + life * _FRESH, now + timedelta(seconds=life * _FRESH))

    def _assertion(self, key: MachineKey, credential: Credential, endpoint: str, wall: float) -> _Assertion:
        """A client assertion; one that nobody has heard serves again for half of its life.

        A machine that is cut off asks a thousand times a day, and the signature is most of the work.
        """
        jti = new_guid(self._chance)  # drawn in any case: what is drawn must not be a matter of real time
        kept = self._unheard
        if kept and (kept.endpoint, kept.credential) == (endpoint, credential) and wall < kept.until_wall:
            return kept
        chain, client_id = credential.certificate, credential.client_id
        text = key.assertion(chain, client_id=client_id, audience=endpoint, now=wall, jti=jti)
        return _Assertion(text, endpoint, credential, wall + ASSERTION_LIFE / 2)


def _token(document: dict[str, Any], resource: str, wall: float, url: str) -> tuple[Token, float]:
    """The token in Entra's answer and the seconds that it will live."""
    value = document.get("access_token")
    try:
        life = float(document.get("expires_in") or 0)
    except (TypeError, ValueError):
        life = 0.0
    if not isinstance(value, str) or not value or life <= 0:
        raise CloudError(200, "InvalidAnswer", "the answer holds no token", url=url)
    try:
        claims = jwt.decode(value, options={"verify_signature": False})
        begins, ends = int(claims["nbf"]), int(claims["exp"])
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        begins, ends = int(wall), int(wall + life)
    return Token(value=value, resource=resource, not_before=begins, expires_on=ends), life
