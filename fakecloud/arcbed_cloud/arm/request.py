"""One call of ARM, free of any HTTP framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from arcbed_cloud.arm.errors import invalid_content
from arcbed_cloud.arm.ids import ResourceId


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the claims of a verified access token.

    `name` is the application id of a service principal or the user principal name of a person.
    """

    object_id: str
    tenant_id: str
    name: str
    kind: str = "ServicePrincipal"
    app_id: str = ""
    resource_id: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict, compare=False, hash=False)


@dataclass(slots=True)
class ArmRequest:
    """A call that has passed authentication.

    `query` has lower-case names, `headers` lower-case names, `base_url` is ``https://host[:port]`` as the
    client spelled it, `action` the permission that was checked; `target` is the item or collection that the
    path names, `api_version` one the type supports.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    base_url: str
    caller: Caller
    target: ResourceId
    api_version: str
    request_id: str
    correlation_id: str
    client_ip: str = ""
    action: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            ArmError: 400 InvalidRequestContent.
        """
        try:
            document = orjson.loads(self.body or b"{}")
        except ValueError as error:
            raise invalid_content(str(error)) from error
        if not isinstance(document, dict):
            raise invalid_content("a JSON object is expected")
        return document


@dataclass(slots=True)
class ArmResponse:
    """What a handler answers: ready bytes where there are any, else a document, else nothing."""

    status: int = 200
    document: Any = None
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """The bytes to send; empty for a bodiless answer."""
        if self.body is not None:
            return self.body
        return b"" if self.document is None else orjson.dumps(self.document)
