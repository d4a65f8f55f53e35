"""One heartbeat: what is sent, and what is done with the answer. Members: ``docs/wire.md``, section 10."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from arcbed_agent import AGENT_VERSION
from arcbed_agent.clock import Clock
from arcbed_agent.cloud.his import HisClient
from arcbed_agent.cloud.transport import CloudError, UnreachableError
from arcbed_agent.config import AgentConfig
from arcbed_agent.himds.identity import Identity
from arcbed_agent.himds.state import StateFile, rfc3339
from arcbed_agent.himds.tokens import SERVICES, MachineTokens
from arcbed_agent.himds.upgrades import Upgrades
from arcbed_agent.himds.uplink import Uplink
from arcbed_agent.host.contract import Host
from arcbed_agent.logging import fields

METADATA_EVERY: Final = timedelta(hours=24)
_PROPERTY_LIMIT: Final = 2_048
_ADDRESS_LIMIT: Final = 64

ServiceStatuses = Callable[[], dict[str, dict[str, str]]]
Detected = Callable[[], Mapping[str, str]]


def canonical(metadata: Mapping[str, Any]) -> bytes:
    """`metadata` as canonical JSON."""
    return json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def metadata_hash(metadata: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical form in hex."""
    return hashlib.sha256(canonical(metadata)).hexdigest()


class Heartbeat:
    """Sends heartbeats of one start of himds.

    Args:
        instance_id: GUID of this start.
        services: ARM's `serviceStatuses`.
        upgrades: told of what the service asks for, and asked how it went.
        detected: more of `detectedProperties`.
        log: where refusals go.
    """

    def __init__(
        self,
        *,
        instance_id: str,
        clock: Clock,
        host: Host,
        uplink: Uplink,
        identity: Identity,
        tokens: MachineTokens,
        state: StateFile,
        services: ServiceStatuses,
        upgrades: Upgrades,
        detected: Detected,
        log: logging.Logger,
    ) -> None:
        self.instance_id = instance_id
        self._clock = clock
        self._host = host
        self._uplink = uplink
        self._identity = identity
        self._tokens = tokens
        self._state = state
        self._services = services
        self._upgrades = upgrades
        self._detected = detected
        self._log = log
        self._started = clock.now()
        self._sequence = 0
        self._sent_hash = ""
        self._sent_at: datetime | None = None
        self._wanted = True
        self.answered: dict[str, Any] = {}

    async def send(self, config: AgentConfig) -> dict[str, Any]:
        """Send one heartbeat for the machine of `config`, keep the news, and answer the server's document.

        A 421 makes it ask discovery again, a 401 makes it get a new token, a 413 makes it send less; each
        once.

        Raises:
            AgentError: 107, there is no certificate; 20 or 26, see `Directory.region`.
            UnreachableError, CloudError: it was not accepted.
        """
        body: dict[str, Any] = {}
        left = {401, 413, 421}
        while True:
            try:
                answer = await self._attempt(config, body)
            except CloudError as error:
                if error.status not in left or _from_entra(error):
                    raise
                left.remove(error.status)
                self._log.warning("Heartbeat was refused", extra=fields(Error=error))
                await self._remedy(error.status, body)
            else:
                self._accept(answer, body)
                return answer

    def _whole(self, metadata: dict[str, Any]) -> dict[str, Any]:
        """With what other daemons of the machine have found out."""
        more = self._detected()
        if not more:
            return metadata
        return {**metadata, "detectedProperties": {**(metadata.get("detectedProperties") or {}), **more}}

    async def _attempt(self, config: AgentConfig, body: dict[str, Any]) -> dict[str, Any]:
        directory = self._uplink.directory
        token = await self._tokens.get(SERVICES)
        region = await directory.region(config.cloud, config.location)
        if not body:
            # Most of the work, and in vain while nobody is reached.
            body.update(self._body(self._whole(await asyncio.to_thread(self._host.metadata))))
        self._sequence += 1
        body["seq"] = self._sequence
        client = HisClient(self._uplink.transport, region.his, config.vm_id)
        try:
            answer = await client.heartbeat(body, token.value)
        except UnreachableError:
            directory.failed()
            raise
        directory.reached()
        return answer

    async def _remedy(self, status: int, body: dict[str, Any]) -> None:
        if status == 421:
            self._uplink.directory.drop()
        elif status == 401:
            await self._tokens.get(SERVICES, bypass_cache=True)
        else:
            _shorten(body)

    def _body(self, metadata: dict[str, Any]) -> dict[str, Any]:
        now = self._clock.now()
        digest = metadata_hash(metadata)
        body: dict[str, Any] = {
            "instanceId": self.instance_id,
            "seq": 0,
            "sentAt": rfc3339(now),
            "bootTime": rfc3339(self._started),
            "uptimeSeconds": int((now - self._started).total_seconds()),
            "agentVersion": AGENT_VERSION,
            "status": "Connected",
            "metadataHash": digest,
            "serviceStatuses": self._services(),
            "agentConfiguration": self._uplink.config.reported(),
            "identity": {
                "thumbprint": self._identity.thumbprint,
                "notAfter": rfc3339(self._identity.not_after) if self._identity.not_after else "",
                "keyStore": "Default",
            },
            "generations": self._state.value.generations,
            "counters": {"tokenRequests": self._tokens.requests},
        }
        if upgrade := self._upgrades.reported():
            body["agentUpgrade"] = upgrade
        due = self._sent_at is None or now - self._sent_at >= METADATA_EVERY
        if self._wanted or due or digest != self._sent_hash:
            body["metadata"] = metadata
        return body

    def _accept(self, answer: dict[str, Any], body: Mapping[str, Any]) -> None:
        now = self._clock.now()
        self.answered = answer
        if "metadata" in body:
            self._sent_hash, self._sent_at = body["metadataHash"], now
        self._wanted = answer.get("sendMetadata") is True
        self._upgrades.consider(answer.get("agentUpgrade"))
        self._state.set(self._state.value.succeeded(now, answer))
        if answer.get("accepted") is False:
            self._log.warning("Heartbeat came too late, a newer one was there", extra=fields(Seq=body["seq"]))


def _from_entra(error: CloudError) -> bool:
    return "error_codes" in error.document


def _shorten(body: dict[str, Any]) -> None:
    """Make a heartbeat that was too large smaller, by the rule of ``docs/wire.md`` "Shortening after 413"."""
    metadata = json.loads(canonical(body.get("metadata") or {}))
    properties = metadata.get("detectedProperties")
    if properties is not None and len(canonical(properties)) > _PROPERTY_LIMIT:
        del metadata["detectedProperties"]
    left = _ADDRESS_LIMIT
    for interface in (metadata.get("networkProfile") or {}).get("networkInterfaces", []):
        interface["ipAddresses"] = interface.get("ipAddresses", [])[:left]
        left -= len(interface["ipAddresses"])
    if "metadata" in body:
        body["metadata"] = metadata
        body["metadataHash"] = metadata_hash(metadata)
