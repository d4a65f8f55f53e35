"""The regional identity service: certificate and heartbeat.

Shapes: ``docs/wire.md``, sections 7, 9 and 10.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from arcbed_agent.cloud.endpoints import CONTRACT
from arcbed_agent.cloud.transport import CloudError, Transport, document_of

#: (method, URL without query, body) to a compact JWS.
Prove = Callable[[str, str, bytes], str]

_TEXT = (
    "client_id",
    "tenant_id",
    "object_id",
    "resource_id",
    "authentication_endpoint",
    "certificate",
    "not_before",
    "not_after",
    "renew_after",
)


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What the identity route answers: times are RFC 3339, `certificate` is PEM, leaf first."""

    client_id: str
    tenant_id: str
    object_id: str
    resource_id: str
    authentication_endpoint: str
    certificate: str
    not_before: str
    not_after: str
    renew_after: str

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Credential:
        """Read `document`.

        Raises:
            ValueError: a member is missing or not text.
        """
        for name in _TEXT:
            if not isinstance(document.get(name), str) or not document[name]:
                raise ValueError(f"the credential has no '{name}'")
        return cls(**{name: document[name] for name in _TEXT})


class HisClient:
    """Raises UnreachableError and CloudError as the transport does.

    Args:
        base: regional URL without a slash at the end.
        vm_id: the machine.
    """

    def __init__(self, transport: Transport, base: str, vm_id: str) -> None:
        self._transport = transport
        self._machine = f"{base}/machine/{vm_id}"

    async def identity(
        self,
        body: Mapping[str, Any],
        prove: Prove,
        *,
        request_id: str,
        access_token: str = "",
        prove_new: Prove | None = None,
        correlation_id: str = "",
    ) -> Credential:
        """Ask for a certificate.

        Args:
            body: `reason`, `mode`, for a rotation `newPublicKey`.
            prove: proof by the current key.
            request_id: same over all attempts of one wish, so that a lost answer costs nothing.
            access_token: of the machine, for renewals.
            prove_new: proof by the new key, in a rotation; its hash is over the text of `newPublicKey`.
            correlation_id: of the onboarding.
        """
        url = f"{self._machine}/identity"
        document = dict(body)
        if prove_new is not None:
            document["newKeyProof"] = prove_new("POST", url, str(body["newPublicKey"]).encode())
        content = json.dumps(document, separators=(",", ":")).encode()
        proof = prove("POST", url, content)
        authorization = {"Authorization": f"PoP {proof}"}
        if access_token:
            authorization = {"Authorization": f"Bearer {access_token}", "x-arc-proof": proof}
        answer = await self._transport.send(
            "POST",
            url,
            params={"api-version": CONTRACT},
            headers={"Repeatability-Request-ID": request_id, **authorization},
            content=content,
            correlation_id=correlation_id,
            read_timeout=60.0,
        )
        try:
            return Credential.from_json(document_of(answer))
        except ValueError as error:
            raise CloudError(answer.status_code, "InvalidAnswer", str(error), url=url) from error

    async def heartbeat(self, body: Mapping[str, Any], access_token: str) -> dict[str, Any]:
        """Say that the machine lives; answers the server's document."""
        answer = await self._transport.send(
            "POST",
            f"{self._machine}/heartbeat",
            params={"api-version": CONTRACT},
            headers={"Authorization": f"Bearer {access_token}"},
            body=body,
        )
        return document_of(answer)
