"""A new certificate before the old one runs out: ``docs/wire.md`` section 7.4."""

from __future__ import annotations

import asyncio
import logging
import random
from datetime import datetime, timedelta
from typing import Any, Final

from arcbed_agent.clock import Clock
from arcbed_agent.cloud.his import Credential, HisClient, Prove
from arcbed_agent.cloud.transport import CloudError, UnreachableError, new_guid
from arcbed_agent.config import AgentConfig
from arcbed_agent.errors import AgentError
from arcbed_agent.himds.identity import Identity
from arcbed_agent.himds.keys import MachineKey
from arcbed_agent.himds.tokens import SERVICES, MachineTokens
from arcbed_agent.himds.uplink import Uplink
from arcbed_agent.logging import fields

SPREAD: Final = timedelta(hours=24)
RETRY: Final = timedelta(hours=4)
LAST_DAYS: Final = timedelta(days=7)
LAST_RETRY: Final = timedelta(minutes=30)


class Renewal:
    """Decides when, and does it; heartbeats go on whatever happens here."""

    def __init__(
        self,
        *,
        clock: Clock,
        chance: random.Random,
        uplink: Uplink,
        identity: Identity,
        tokens: MachineTokens,
        log: logging.Logger,
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._uplink = uplink
        self._identity = identity
        self._tokens = tokens
        self._log = log
        self._due: tuple[str, datetime] | None = None
        self._retry_at: datetime | None = None
        self._wish: tuple[tuple[str, str], str] | None = None

    def due(self) -> datetime | None:
        """When the current certificate is to be renewed; the spread is drawn once for each certificate."""
        begin, thumbprint = self._identity.renew_after, self._identity.thumbprint
        if begin is None:
            return None
        if self._due is None or self._due[0] != thumbprint:
            self._due = (thumbprint, begin + SPREAD * self._chance.random())
        return self._due[1]

    async def consider(self, config: AgentConfig, action: str) -> bool:
        """Renew if it is time, or if the service asks with ``renew`` or ``rotate``.

        True if there is a new one.
        """
        due, now = self.due(), self._clock.now()
        asked = action in {"renew", "rotate"}
        if (self._retry_at and now < self._retry_at) or not (asked or (due is not None and now >= due)):
            return False
        reason = "rotate" if action == "rotate" else "renew"
        try:
            await self._renew(config, reason)
        except (AgentError, CloudError, UnreachableError, OSError) as error:
            self._postpone(now)
            self._log.error(
                "Certificate was not renewed", extra=fields({"Error": error, "Next Try": self._retry_at})
            )
            return False
        self._wish = self._retry_at = None
        self._log.info(
            "Certificate was renewed",
            extra=fields({"Thumbprint": self._identity.thumbprint, "Valid Until": self._identity.not_after}),
        )
        return True

    def _postpone(self, now: datetime) -> None:
        end = self._identity.not_after or now
        self._retry_at = now + (LAST_RETRY if end - now <= LAST_DAYS else RETRY)

    async def _renew(self, config: AgentConfig, reason: str) -> None:
        key = self._identity.key
        if key is None:
            raise AgentError(104, "the machine has no key")
        new_key: MachineKey | None = None
        if reason == "rotate":
            new_key = await self._new_key()
        try:
            credential = await self._ask(config, key, new_key)
        except CloudError as error:
            prepared = self._identity.prepared()
            if error.code != "KeyMismatch" or prepared is None:
                raise
            # The answer to a rotation was lost: the service knows the new key already.
            credential = await self._ask(config, prepared, None)
        self._identity.install(credential)

    async def _new_key(self) -> MachineKey:
        """The key of a rotation, on disk before anybody is told of it."""
        prepared = self._identity.prepared()
        if prepared is not None:
            return prepared
        key = await asyncio.to_thread(MachineKey.generate)
        self._identity.prepare_rotation(key)
        return key

    async def _ask(self, config: AgentConfig, key: MachineKey, new_key: MachineKey | None) -> Credential:
        body: dict[str, Any] = {"reason": "renew", "mode": "issue"}
        if new_key is not None:
            body |= {"reason": "rotate", "newPublicKey": new_key.public_text}
        token = await self._tokens.get(SERVICES)
        region = await self._uplink.directory.region(config.cloud, config.location)
        client = HisClient(self._uplink.transport, region.his, config.vm_id)
        return await client.identity(
            body,
            self._prover(key, config),
            request_id=self._request(key, new_key),
            access_token=token.value,
            prove_new=self._prover(new_key, config) if new_key else None,
        )

    def _request(self, key: MachineKey, new_key: MachineKey | None) -> str:
        """The id of this wish: the same for each try, another for another wish."""
        wish = (key.kid, new_key.kid if new_key else "")
        if self._wish is None or self._wish[0] != wish:
            self._wish = (wish, new_guid(self._chance))
        return self._wish[1]

    def _prover(self, key: MachineKey, config: AgentConfig) -> Prove:
        def prove(method: str, url: str, body: bytes) -> str:
            return key.proof(
                vm_id=config.vm_id,
                resource_id=config.resource_id,
                method=method,
                url=url,
                body=body,
                now=self._clock.wall(),
                jti=new_guid(self._chance),
            )

        return prove
