"""Errors of the identity service, in the shape that all services besides ARM and Entra share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError

from arcbed_cloud.services.entra.tokens import TokenError


@dataclass(eq=False)
class HisError(Exception):
    """A refusal; codes and what an agent makes of them: ``docs/wire.md``, section 4.3."""

    status: int
    code: str
    message: str
    target: str | None = None
    details: Sequence[Mapping[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.message}"

    @property
    def retryable(self) -> bool:
        """True if the same request may succeed later without anybody changing anything."""
        return self.status >= 500 or self.status == 429 or self.code == "IdentityNotReady"

    def body(self, tracking_id: str) -> bytes:
        """``{"error": {"code", "message", "target"?, "details"?, "innererror"}}``."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.target is not None:
            error["target"] = self.target
        if self.details:
            error["details"] = [dict(detail) for detail in self.details]
        error["innererror"] = {"trackingId": tracking_id, "retryable": self.retryable}
        return orjson.dumps({"error": error})


def invalid_request(message: str, target: str | None = None) -> HisError:
    """400 for a request that will never be right."""
    return HisError(400, "InvalidRequest", message, target)


def invalid_members(error: ValidationError, message: str) -> HisError:
    """400 for a body whose members are wrong; the details name each of them."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    details = [
        {"code": "InvalidRequest", "message": f"{'.'.join(map(str, item['loc']))}: {item['msg']}"}
        for item in found
    ]
    target = ".".join(map(str, found[0]["loc"])) or None
    return HisError(400, "InvalidRequest", message, target, details=details)


def invalid_proof(message: str) -> HisError:
    """401 for a proof of possession that does not hold."""
    return HisError(401, "InvalidProof", message, headers={"WWW-Authenticate": "PoP"})


def machine_not_found(vm_id: str) -> HisError:
    """404: there is no machine with this vmId, or it is being deleted."""
    return HisError(404, "MachineNotFound", f"No machine has the vmId '{vm_id}'.", vm_id)


def too_many(message: str, seconds: int) -> HisError:
    """429 with the seconds to wait."""
    return HisError(429, "TooManyRequests", message, headers={"Retry-After": str(seconds)})


def token_refused(error: TokenError) -> HisError:
    """401 for an access token."""
    code = "TokenExpired" if error.reason == "expired" else "InvalidToken"
    return HisError(401, code, error.message, headers={"WWW-Authenticate": "Bearer"})


def unsupported_version(version: str, supported: Sequence[str]) -> HisError:
    """400 with the supported versions in the details."""
    code = "UnsupportedApiVersion"
    return HisError(
        400,
        code,
        f"The api-version '{version}' is not supported.",
        "api-version",
        details=({"code": code, "message": ", ".join(supported)},),
    )
