"""The notification service: how this machine opens its channel, and what is said on it.

Shapes: ``docs/wire.md`` sections 13.1 and 13.2.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from arcbed_agent.cloud.endpoints import CONTRACT
from arcbed_agent.cloud.transport import CloudError, Transport, document_of

FEATURES = ("notify",)


@dataclass(frozen=True, kw_only=True)
class Channel:
    """Where to listen, and with what.

    Args:
        address: of the namespace: host, port if it is not 443, and path prefix if there is one.
        path: the hybrid connection.
        token: gives the right to listen.
        expires: of the token, real epoch seconds.
        ping_seconds: between pings.
        spread_seconds: over how long machines come back after the service was away.
    """

    address: str
    path: str
    token: str
    expires: int
    ping_seconds: float
    spread_seconds: float

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        """Read an answer.

        Raises:
            ValueError: it is none.
        """
        try:
            relay = document["relay"]
            namespace, suffix = str(relay["namespaceName"]), str(relay["namespaceNameSuffix"])
            return cls(
                address=f"{namespace}.{suffix}" if namespace else suffix,
                path=str(relay["hybridConnectionName"]),
                token=str(relay["accessKey"]),
                expires=int(relay["expiresOn"]),
                ping_seconds=max(1.0, float(document.get("pingSeconds") or 60)),
                spread_seconds=max(0.0, float(document.get("reconnectSpreadSeconds") or 0)),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"the answer names no channel: {error}") from error

    @property
    def url(self) -> str:
        """Of the listener's control channel."""
        return f"wss://{self.address}/$hc/{self.path}?sb-hc-action=listen"


async def channel(transport: Transport, gns: str, vm_id: str, access_token: str, instance_id: str) -> Channel:
    """Ask for the machine's channel (N2).

    Raises:
        UnreachableError, CloudError: there is none.
    """
    url = f"{gns}/machine/{vm_id}/channel"
    answer = await transport.send(
        "POST",
        url,
        params={"api-version": CONTRACT},
        headers={"Authorization": f"Bearer {access_token}"},
        body={"instanceId": instance_id, "features": list(FEATURES)},
    )
    try:
        return Channel.of(document_of(answer))
    except ValueError as error:
        raise CloudError(answer.status_code, "InvalidAnswer", str(error), url=url) from error


@dataclass(frozen=True, kw_only=True)
class Notification:
    """A hint that something has changed.

    Args:
        number: GUID; one that was seen before is a repeat.
        kind: what has changed.
        generation: of the state that has changed; 0 if it has none.
        spread_seconds: over how long many machines are to react.
        until: after this instant it is no news any more.
    """

    number: str
    kind: str
    generation: int
    spread_seconds: float
    until: datetime

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read a notification.

        Raises:
            ValueError: it is none.
        """
        document = json.loads(body)
        try:
            issued = datetime.fromisoformat(str(document["issuedAt"]))
            if issued.tzinfo is None:
                raise ValueError("issuedAt has no time zone")
            return cls(
                number=str(document["id"]),
                kind=str(document["kind"]),
                generation=int(document.get("generation") or 0),
                spread_seconds=min(3_600.0, max(0.0, float(document.get("spreadSeconds") or 0))),
                until=issued + timedelta(seconds=float(document.get("ttlSeconds") or 0)),
            )
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"not a notification: {error}") from error
